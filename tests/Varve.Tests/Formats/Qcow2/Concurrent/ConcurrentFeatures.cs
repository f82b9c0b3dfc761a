using System.Text.Json.Nodes;
using Varve.Simulation;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>What an image is like, by a seed.</summary>
internal sealed class ConcurrentFeatures
{
    public ConcurrentFeatures(Random random)
    {
        ClusterBits = random.Next(8) == 0 ? random.Next(17, 22) : random.Next(9, 17);
        HasSubclusters = ClusterBits >= 14 && random.Next(2) == 0;
        IsOld = !HasSubclusters && random.Next(8) == 0;
        HasBacking = random.Next(2) == 0;
        HasDataFile = !IsOld && random.Next(6) == 0;
        IsDataFileRaw = HasDataFile && !HasBacking && random.Next(2) == 0;
        IsEncrypted = !IsOld && !HasDataFile && ClusterBits <= 16 && random.Next(8) == 0;
        RefcountBits = IsOld ? 16 : 1 << random.Next(7);
        IsLazy = !IsOld && random.Next(4) == 0;
        IsZstd = !IsOld && random.Next(2) == 0;
        KeepsDiscarded = !IsOld && random.Next(4) == 0;
        PassesDiscards = random.Next(2) == 0;
        int clusterSectors = ClusterSize / SectorValue.Bytes;
        Sectors = Math.Max(clusterSectors * random.Next(4, 9), Math.Min(clusterSectors * random.Next(4, 200), 1500)) + random.Next(clusterSectors);
        SharedSectors = Sectors * 3 / 4;
        var chain = new List<BackingLayer>();
        for (int layers = !HasBacking ? 0 : random.Next(2) == 0 ? 1 : random.Next(2, 6); layers > 0; layers--)
        {
            int sectors = random.Next(Sectors / 2, Sectors + clusterSectors), clusterBits = random.Next(9, 17);
            chain.Add(new BackingLayer(layers == 1 ? "base" : $"l{layers}", sectors, IsRaw: layers == 1, 1 << clusterBits, CacheSizes.Draw(random, 1 << clusterBits)));
        }

        Chain = chain;
        Caches = CacheSizes.Draw(random, ClusterSize);
        Host = random.Next(3) == 0 ? HostStorage.Draw(random) : null;
    }

    public int ClusterBits { get; }

    public int ClusterSize => 1 << ClusterBits;

    public bool HasSubclusters { get; }

    /// <summary>Version 2.</summary>
    public bool IsOld { get; }

    public bool HasBacking { get; }

    public bool HasDataFile { get; }

    public bool IsDataFileRaw { get; }

    public bool IsEncrypted { get; }

    public int RefcountBits { get; }

    public bool IsLazy { get; }

    public bool IsZstd { get; }

    public CacheSizes Caches { get; }

    /// <summary>The files of the host that the images lie in; null: memory, whose requests end in any order.</summary>
    public HostStorage? Host { get; }

    public bool KeepsDiscarded { get; }

    public bool PassesDiscards { get; }

    /// <summary>Of the disk at its longest.</summary>
    public int Sectors { get; }

    /// <summary>Clients keep below; what lies above comes and goes with the disk's size.</summary>
    public int SharedSectors { get; }

    /// <summary>The images below, next one first; reads find the one that has a cluster by an index.</summary>
    public IReadOnlyList<BackingLayer> Chain { get; }

    /// <summary>Where the image below ends; 0 without one.</summary>
    public int BackingSectors => HasBacking ? Chain[0].Sectors : 0;

    public bool Compresses => !HasDataFile && !IsEncrypted;

    /// <summary>How many snapshots can be: one reference of a cluster for each, and one for the disk.</summary>
    public int MaxSnapshots => HasDataFile || RefcountBits == 1 ? 0 : RefcountBits == 2 ? 2 : 4;

    /// <summary>As in <c>blockdev-create</c>.</summary>
    public JsonObject Creation(Func<string, JsonObject> nodeOf)
    {
        var options = new JsonObject
        {
            ["cluster-size"] = ClusterSize, ["refcount-bits"] = RefcountBits, ["version"] = IsOld ? "v2" : "v3", ["extended-l2"] = HasSubclusters,
            ["lazy-refcounts"] = IsLazy, ["compression-type"] = IsZstd ? "zstd" : "zlib",
        };
        if (HasBacking) (options["backing-file"], options["backing-fmt"]) = (Chain[0].Name, Chain[0].Format);
        if (HasDataFile) (options["data-file"], options["data-file-raw"]) = (nodeOf("data"), IsDataFileRaw);
        if (IsEncrypted) options["encrypt"] = new JsonObject { ["format"] = "luks", ["key-secret"] = "s", ["iter-time"] = 0 };
        return options;
    }

    /// <summary>Options of the open node.</summary>
    public JsonObject Runtime(Func<string, JsonObject> nodeOf)
    {
        var options = new JsonObject { ["node-name"] = "disk", ["pass-discard-other"] = PassesDiscards };
        if (KeepsDiscarded) options["discard-no-unref"] = true;
        if (HasDataFile) options["data-file"] = nodeOf("data");
        Caches.AddTo(options);
        return options;
    }

    public override string ToString()
    {
        static JsonObject Named(string name) => new() { ["filename"] = name };
        return $"{Creation(Named).ToJsonString()} {Runtime(Named).ToJsonString()} {Sectors} sectors on {Host?.ToString() ?? "memory"}, below {string.Join(", ", Chain)}";
    }
}

/// <summary>An image of the chain below.</summary>
internal sealed record BackingLayer(string Name, int Sectors, bool IsRaw, int ClusterSize, CacheSizes Caches)
{
    public string Format => IsRaw ? "raw" : "qcow2";
}
