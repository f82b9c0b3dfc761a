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
    public bool ChangesChain => Canary != Canary.Links;

    /// <summary>Guest data lies in files of their own.</summary>
    public required bool HasDataFile { get; init; }

    /// <summary>Whether images are amended when the guest has stopped.</summary>
    public required bool Amends { get; init; }

    /// <summary>What compressed writes use.</summary>
    public required string CompressionType { get; init; }

    /// <summary>Small write-back caches, so that tables are evicted in the middle of things.</summary>
    public required int L2CacheSize { get; init; }

    /// <summary>The scenario of a seed.</summary>
    /// <param name="seed">Decides everything.</param>
    /// <param name="canary">A wrong order to be found.</param>
    public static Scenario Of(int seed, Canary canary = Canary.None)
    {
        var random = new Random(seed);
        int clusterBits = random.Next(9, 14) is var bits && random.Next(8) == 0 ? 16 : bits;
        int version = random.Next(6) == 0 && canary != Canary.Data ? 2 : 3;
        bool hasSubclusters = version == 3 && new Random(seed ^ 0x5BC1).Next(4) == 0;
        if (hasSubclusters) clusterBits = Math.Max(clusterBits, 14);
        return new Scenario
        {
            Seed = seed,
            ClusterSize = 1 << clusterBits,
            Version = version,
            RefcountBits = version == 2 ? 16 : 1 << random.Next(7),
            LazyRefcounts = version == 3 && random.Next(6) == 0,
            ExtendedL2 = hasSubclusters,
            Length = (1 << random.Next(5, 10)) * (long)GuestModel.SectorBytes,
            Workers = random.Next(1, 5),
            Operations = random.Next(20, 150),
            Epochs = random.Next(1, 4),
            L2CacheSize = random.Next(2) == 0 ? 0 : 1 << clusterBits,
            Disk = new DiskBehaviour
            {
                FailuresPerThousand = canary != Canary.None || random.Next(3) != 0 ? 0 : random.Next(1, 30),
            },
            HasDataFile = canary == Canary.Data || (version == 3 && new Random(seed ^ 0xDA7A).Next(4) == 0),
            Amends = canary == Canary.None && new Random(seed ^ 0xA3E7D).Next(3) == 0,
            CompressionType = version == 3 && random.Next(2) == 0 ? "zstd" : "zlib",
            Canary = canary,
        };
    }

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
        return options;
    }

    /// <summary>The name of the file that holds an image's guest data.</summary>
    public static string DataFileOf(string file) => file + DataSuffix;

    /// <summary>The name of the image that a file belongs to.</summary>
    public static string ImageOf(string file) => file.EndsWith(DataSuffix, StringComparison.Ordinal) ? file[..^DataSuffix.Length] : file;

    private const string DataSuffix = ".data";

    /// <summary>How an image is opened; without <paramref name="withBacking"/> the caller attaches what is below.</summary>
    public JsonObject OpenOptions(string file, bool withBacking)
    {
        var options = new JsonObject
        {
            ["driver"] = "qcow2",
            ["discard"] = "unmap",
            ["cache-clean-interval"] = 0,
            ["file"] = new JsonObject { ["driver"] = "crash", ["filename"] = file, ["discard"] = "unmap" },
        };
        if (L2CacheSize != 0) options["l2-cache-size"] = L2CacheSize;
        if (!withBacking) options["backing"] = null;
        return options;
    }
}
