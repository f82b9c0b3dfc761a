using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Qcow2;

/// <summary>The runtime options of a qcow2 node, checked. docs/qcow2-cache.txt of the reference has what the sizes mean.</summary>
internal sealed record Qcow2RuntimeOptions
{
    private const long DefaultMaxL2CacheSize = 32 << 20;
    private const string OverlapCheck = "overlap-check", Template = "template";
    private static readonly string[] s_cacheSizes = ["cache-size", "l2-cache-size", "refcount-cache-size"];
    private const int MinL2Entries = 2, MinRefcountBlocks = 4, SmallL2Entry = 4096;

    public bool LazyRefcounts { get; private init; }
    public bool PassDiscardRequest { get; private init; }
    public bool PassDiscardSnapshot { get; private init; }
    public bool PassDiscardOther { get; private init; }

    /// <summary>A discarded cluster becomes zero but stays where it is, so that the image does not fragment.</summary>
    public bool DiscardNoUnref { get; private init; }

    public OverlapChecks OverlapChecks { get; private init; }

    /// <summary>Bytes all L2 slices may take.</summary>
    public long L2CacheSize { get; private init; }

    /// <summary>Bytes of an L2 slice.</summary>
    public int L2EntrySize { get; private init; }

    /// <summary>Bytes all refcount blocks may take.</summary>
    public long RefcountCacheSize { get; private init; }

    /// <summary>Slices unused that long are dropped; zero: never.</summary>
    public TimeSpan CacheCleanInterval { get; private init; }

    /// <summary>The same options with another way to treat refcounts.</summary>
    public Qcow2RuntimeOptions WithLazyRefcounts(bool isLazy) => this with { LazyRefcounts = isLazy };

    public bool PassesDiscard(DiscardReason reason) => reason switch
    {
        DiscardReason.Request => PassDiscardRequest,
        DiscardReason.Snapshot => PassDiscardSnapshot,
        DiscardReason.Other => PassDiscardOther,
        _ => true,
    };

    /// <summary>Takes the options a qcow2 node understands.</summary>
    /// <exception cref="BlockException">One of them cannot be.</exception>
    public static Qcow2RuntimeOptions Take(NodeOpening opening, Qcow2Header header)
    {
        bool lazy = opening.TakeBool("lazy-refcounts") ?? (header.Compatible & Qcow2Compatible.LazyRefcounts) != 0;
        if (lazy && header.Version < 3)
        {
            throw Invalid("Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
        }

        bool noUnref = opening.TakeBool("discard-no-unref") ?? false;
        if (noUnref && header.Version < 3) throw Invalid("discard-no-unref is only supported since qcow2 version 3");
        (long l2, int entry, long refcount) = TakeCacheSizes(opening, header);
        if (opening.Options["cache-clean-interval"]?.ToString().StartsWith('-') == true) throw Invalid("Cache clean interval too big");
        long interval = opening.TakeSize("cache-clean-interval") ?? (OperatingSystem.IsLinux() ? 600 : 0);
        if (interval is < 0 or > uint.MaxValue) throw Invalid("Cache clean interval too big");
        return new Qcow2RuntimeOptions
        {
            LazyRefcounts = lazy,
            PassDiscardRequest = opening.TakeBool("pass-discard-request") ?? opening.Settings.Discard,
            PassDiscardSnapshot = opening.TakeBool("pass-discard-snapshot") ?? true,
            PassDiscardOther = opening.TakeBool("pass-discard-other") ?? false,
            DiscardNoUnref = noUnref,
            OverlapChecks = TakeOverlapChecks(opening),
            L2CacheSize = l2,
            L2EntrySize = entry,
            RefcountCacheSize = refcount,
            CacheCleanInterval = TimeSpan.FromSeconds(interval),
        };
    }

    private static (long L2, int Entry, long Refcount) TakeCacheSizes(NodeOpening opening, Qcow2Header header)
    {
        long? combined = opening.TakeSize("cache-size"), l2Set = opening.TakeSize("l2-cache-size");
        long? refcountSet = opening.TakeSize("refcount-cache-size"), entrySet = opening.TakeSize("l2-cache-entry-size");
        long clusterSize = header.ClusterSize, minRefcount = MinRefcountBlocks * clusterSize;
        long maxL2 = Math.Max(1, header.L1EntriesFor(header.VirtualSize)) * clusterSize;
        long l2 = l2Set ?? DefaultMaxL2CacheSize, refcount = refcountSet ?? minRefcount;
        if (combined is { } both)
        {
            if (l2Set is not null && refcountSet is not null) throw Invalid("cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
            if (l2Set > both) throw Invalid("l2-cache-size may not exceed cache-size");
            if (refcountSet > both) throw Invalid("refcount-cache-size may not exceed cache-size");
            if (l2Set is not null) refcount = both - l2;
            else if (refcountSet is not null) l2 = both - refcount;
            else (l2, refcount) = both - minRefcount >= maxL2 ? (maxL2, both - maxL2) : (both - Math.Min(both, minRefcount), minRefcount);
        }

        bool coversDisk = l2 >= maxL2;
        l2 = Math.Min(l2, maxL2);
        long entry = entrySet ?? (coversDisk ? clusterSize : Math.Min(clusterSize, SmallL2Entry));
        if (entry < 512 || entry > clusterSize || !long.IsPow2(entry))
        {
            throw Invalid($"L2 cache entry size must be a power of two between 512 and the cluster size ({clusterSize})");
        }

        if (l2 / entry > int.MaxValue) throw Invalid("L2 cache size too big");
        if (refcount / clusterSize > int.MaxValue) throw Invalid("Refcount cache size too big");
        // Slices are rented as they are needed, so this would fail much later: with data to be written and no room for their table.
        if (Math.Max(l2, refcount) > GC.GetGCMemoryInfo().TotalAvailableMemoryBytes)
        {
            throw new BlockException(BlockErrorKind.Io, "Could not allocate metadata caches") { Errno = Errno.ENOMEM };
        }

        return (Math.Max(l2, MinL2Entries * entry), (int)entry, Math.Max(refcount, minRefcount));
    }

    /// <summary>Forgets what a reopening replaces: cache sizes depend on each other, and the overlap checks' template has two names.</summary>
    public static void ForgetReplaced(JsonObject given, JsonObject changes)
    {
        if (s_cacheSizes.Any(changes.ContainsKey)) Array.ForEach(s_cacheSizes, size => given.Remove(size));
        NameTemplate(given);
        NameTemplate(changes);
    }

    /// <summary>Writes a template that stands alone, or says the same twice, as a member of the group.</summary>
    private static void NameTemplate(JsonObject options)
    {
        if (options[OverlapCheck] is not JsonValue template) return;
        if (options[$"{OverlapCheck}.{Template}"] is { } inner && inner.ToString() != template.ToString()) return;
        JsonObject flags = TakeDottedFlags(options);
        flags[Template] = template.DeepClone();
        options[OverlapCheck] = flags;
    }

    private static OverlapChecks TakeOverlapChecks(NodeOpening opening)
    {
        JsonNode? option = opening.Take(OverlapCheck);
        JsonObject flags = option as JsonObject ?? TakeDottedFlags(opening.Options);
        string? template = (option as JsonValue)?.ToString(), inner = flags[Template]?.ToString();
        flags.Remove(Template);
        if (template is not null && inner is not null && template != inner)
        {
            throw Invalid($"Conflicting values for qcow2 options '{OverlapCheck}' ('{template}') and '{OverlapCheck}.{Template}' ('{inner}')");
        }

        OverlapChecks checks = ChecksOf(template ?? inner ?? "cached");
        foreach ((string name, MetadataKind kind) in s_flags)
        {
            if (flags.Remove(name, out JsonNode? flag)) checks = checks.With(kind, ReadFlag(name, flag));
        }

        if (flags.Count > 0) opening.Options[OverlapCheck] = flags;   // what nobody knows is reported by name
        return checks;
    }

    /// <summary>The switches that stand dotted beside a template.</summary>
    private static JsonObject TakeDottedFlags(JsonObject options)
    {
        const string Prefix = OverlapCheck + ".";
        var flags = new JsonObject();
        foreach (string key in options.Select(o => o.Key).Where(k => k.StartsWith(Prefix, StringComparison.Ordinal)).ToList())
        {
            options.Remove(key, out JsonNode? flag);
            flags[key[Prefix.Length..]] = flag;
        }

        return flags;
    }

    private static bool ReadFlag(string name, JsonNode? flag) => flag?.GetValueKind() switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        JsonValueKind.String when OptionChecker.TryParseBool(flag.GetValue<string>()) is { } value => value,
        _ => throw Invalid($"Parameter 'overlap-check.{name}' expects 'on' or 'off'"),
    };

    private static readonly (string Name, MetadataKind Kind)[] s_flags =
    [
        ("main-header", MetadataKind.MainHeader), ("active-l1", MetadataKind.ActiveL1), ("active-l2", MetadataKind.ActiveL2),
        ("refcount-table", MetadataKind.RefcountTable), ("refcount-block", MetadataKind.RefcountBlock),
        ("snapshot-table", MetadataKind.SnapshotTable), ("inactive-l1", MetadataKind.InactiveL1), ("inactive-l2", MetadataKind.InactiveL2),
        ("bitmap-directory", MetadataKind.BitmapDirectory),
    ];

    private static OverlapChecks ChecksOf(string template) => template switch
    {
        "none" => OverlapChecks.None,
        "constant" => OverlapChecks.Constant,
        "cached" => OverlapChecks.Cached,
        "all" => OverlapChecks.All,
        var other => throw Invalid(
            $"Unsupported value '{other}' for qcow2 option 'overlap-check'. Allowed are any of the following: none, constant, cached, all"),
    };

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
