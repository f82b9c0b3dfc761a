using System.Text.Json.Nodes;

namespace Varve.Simulation;

/// <summary>A wrong order, made by a disk that lies, that the simulation must find: one that finds nothing there is worth nothing.</summary>
internal enum Canary
{
    None,

    /// <summary>Every flush is ignored while the guest writes: entries are linked before refcounts and new tables are durable.</summary>
    Links,

    /// <summary>Flushes are ignored while a stream ends: the header stops naming images whose data is not yet in the top.</summary>
    Header,

    /// <summary>Flushes of data files are ignored: tables name data that is not there.</summary>
    Data,

    /// <summary>Flushes are ignored while the disk is resized: the header tells a size, or names a table, before it is true.</summary>
    Resize,

    /// <summary>Flushes are ignored while internal snapshots come, go and are applied: the header names tables that are not there.</summary>
    Snapshots,

    /// <summary>Flushes are ignored while images are opened: what is written later may outlive the mark that bitmaps are in use.</summary>
    Bitmaps,

    /// <summary>Flushes are ignored while a check repairs: the image says that it is clean before it is.</summary>
    Repair,

    /// <summary>Flushes are ignored while key slots change: the old key may be gone before the new one is there.</summary>
    Keys,
}

/// <summary>What one seed decides before anything runs: geometry, disk, workload.</summary>
internal sealed record Scenario
{
    public required int Seed { get; init; }
    public required int ClusterSize { get; init; }
    public required int RefcountBits { get; init; }
    public required int Version { get; init; }
    public required bool LazyRefcounts { get; init; }
    public required bool ExtendedL2 { get; init; }
    public required long Length { get; init; }
    public required int Workers { get; init; }
    public required int Operations { get; init; }
    public required int Epochs { get; init; }
    public required DiskBehaviour Disk { get; init; }

    public Canary Canary { get; init; }

    /// <summary>Whether the guest relies on its flushes. A canary's does not, so that whatever is found is an order that was broken.</summary>
    public bool ReliesOnFlushes => Canary is Canary.None or Canary.Data;

    /// <summary>Whether snapshots are taken and streams run.</summary>
    public bool ChangesChain => Canary is not (Canary.Links or Canary.Bitmaps or Canary.Repair or Canary.Keys);

    /// <summary>Guest data lies in files of their own.</summary>
    public required bool HasDataFile { get; init; }

    /// <summary>Images are encrypted: LUKS inside qcow2. The chain is one image then.</summary>
    public required bool IsEncrypted { get; init; }

    /// <summary>Internal snapshots are taken, applied and deleted.</summary>
    public required bool TakesSnapshots { get; init; }

    /// <summary>Persistent bitmaps come, go and change.</summary>
    public required bool KeepsBitmaps { get; init; }

    /// <summary>An epoch without a power loss ends with closing the images, which stores bitmaps.</summary>
    public required bool EndsClean { get; init; }

    /// <summary>Whether survivors are repaired, with a power loss in the middle of it.</summary>
    public required bool Repairs { get; init; }

    /// <summary>Whether images are amended when the guest has stopped.</summary>
    public required bool Amends { get; init; }

    /// <summary><c>discard-no-unref</c>: clusters stay in place, and the disk forgets what they hold. An amended image may not know it.</summary>
    public required bool KeepsDiscarded { get; init; }

    /// <summary>What compressed writes use.</summary>
    public required string CompressionType { get; init; }

    /// <summary>Small ones evict tables in the middle of things. Engines and cache modes are not drawn here: the disk is simulated.</summary>
    public required CacheSizes Caches { get; init; }

    /// <summary>New refcount blocks wait for the next write-back, as they do in images with much unwritten data, which those here are too small for.</summary>
    public required bool DefersRefcountBlocks { get; init; }

    /// <summary>The scenario of a seed.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="canary">A wrong order to be found.</param>
    public static Scenario Of(int seed, Canary canary = Canary.None)
    {
        var random = new Random(seed);
        int clusterBits = random.Next(9, 14) is var bits && random.Next(8) == 0 ? 16 : bits;
        bool needsVersion3 = canary is Canary.Data or Canary.Bitmaps or Canary.Repair or Canary.Snapshots;
        int version = random.Next(6) == 0 && !needsVersion3 ? 2 : 3;
        bool hasSubclusters = version == 3 && Draw(seed, 0x5BC1, 4);
        if (hasSubclusters) clusterBits = Math.Max(clusterBits, 14);
        bool amends = canary == Canary.None && Draw(seed, 0xA3E7D, 3);
        bool hasDataFile = canary == Canary.Data || (version == 3 && canary != Canary.Snapshots && Draw(seed, 0xDA7A, 4));
        return new Scenario
        {
            Seed = seed,
            ClusterSize = 1 << clusterBits,
            Version = version,
            RefcountBits = version == 2 ? 16 : 1 << random.Next(7),
            LazyRefcounts = version == 3 && (random.Next(6) == 0 || canary == Canary.Repair),
            ExtendedL2 = hasSubclusters,
            Length = (1 << random.Next(5, 10)) * (long)GuestModel.SectorBytes,
            Workers = random.Next(1, 5),
            Operations = random.Next(20, 150),
            Epochs = Math.Max(random.Next(1, 4), canary == Canary.Bitmaps ? 2 : 1),
            Caches = CacheSizes.Draw(new Random(random.Next()), 1 << clusterBits),
            Disk = new DiskBehaviour
            {
                FailuresPerThousand = canary != Canary.None || random.Next(3) != 0 ? 0 : random.Next(1, 30),
            },
            HasDataFile = hasDataFile,
            IsEncrypted = canary == Canary.Keys || (canary == Canary.None && Draw(seed, 0x1045, 14)),
            TakesSnapshots = canary == Canary.Snapshots || (canary == Canary.None && !hasDataFile && Draw(seed, 0x5A9, 3)),
            KeepsBitmaps = canary == Canary.Bitmaps || (canary == Canary.None && version == 3 && Draw(seed, 0xB175, 3)),
            EndsClean = canary == Canary.Bitmaps || Draw(seed, 0xC105E, 2),
            Repairs = canary == Canary.Repair || (canary == Canary.None && Draw(seed, 0x4E9A, 4)),
            Amends = amends,
            KeepsDiscarded = version == 3 && !amends && canary == Canary.None && Draw(seed, 0xD15C, 4),
            CompressionType = version == 3 && random.Next(2) == 0 ? "zstd" : "zlib",
            DefersRefcountBlocks = Draw(seed, 0xDEFE4, 2),
            Canary = canary,
        };
    }

    private static bool Draw(int seed, int salt, int oneOf) => new Random(seed ^ salt).Next(oneOf) == 0;

    /// <summary>The options of a new image: the first, or an overlay.</summary>
    public JsonObject CreateOptions(string file, string? backing)
    {
        JsonObject options = new()
        {
            ["file"] = new JsonObject { ["driver"] = "crash", ["filename"] = file },
            ["size"] = Length,
            ["cluster-size"] = ClusterSize,
            ["refcount-bits"] = RefcountBits,
            ["version"] = Version == 2 ? "v2" : "v3",
            ["lazy-refcounts"] = LazyRefcounts,
            ["compression-type"] = CompressionType,
            ["extended-l2"] = ExtendedL2,
            ["backing-file"] = backing is null ? null : "crash:" + backing,
            ["backing-fmt"] = backing is null ? null : "qcow2",
        };
        if (HasDataFile) options["data-file"] = new JsonObject { ["driver"] = "crash", ["filename"] = "crash:" + DataFileOf(file) };
        if (IsEncrypted)
        {
            options["encrypt"] = new JsonObject
            {
                ["format"] = "luks", ["key-secret"] = KeyModel.First, ["cipher-alg"] = "aes-128", ["iter-time"] = 10L,
                ["cipher-mode"] = Draw(Seed, 0xCBC, 2) ? "cbc" : "xts",
            };
        }

        return options;
    }

    /// <summary>The name of the file that holds an image's guest data.</summary>
    public static string DataFileOf(string file) => file + DataSuffix;

    /// <summary>The name of the image that a file belongs to.</summary>
    public static string ImageOf(string file) => file.EndsWith(DataSuffix, StringComparison.Ordinal) ? file[..^DataSuffix.Length] : file;

    private const string DataSuffix = ".data";

    /// <summary>How an image is opened; without <paramref name="withBacking"/> the caller attaches what is below.</summary>
    public JsonObject OpenOptions(string file, bool withBacking, string key)
    {
        var options = new JsonObject
        {
            ["driver"] = "qcow2",
            ["discard"] = "unmap",
            ["file"] = new JsonObject { ["driver"] = "crash", ["filename"] = file, ["discard"] = "unmap" },
        };
        if (KeepsDiscarded) options["discard-no-unref"] = true;
        Caches.AddTo(options);
        if (!withBacking) options["backing"] = null;
        if (IsEncrypted) options["encrypt"] = new JsonObject { ["format"] = "luks", ["key-secret"] = key };
        return options;
    }
}
