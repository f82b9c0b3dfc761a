using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Objects;

namespace Varve.Formats.Qcow2;

/// <summary>What a new image is to be: <c>BlockdevCreateOptionsQcow2</c> without its nodes, validated.</summary>
internal sealed record Qcow2CreateOptions
{
    public const int DefaultClusterSize = 65536, DefaultRefcountBits = 16;

    /// <summary>The largest virtual size any driver takes: what the reference names in its error.</summary>
    private const long MaxVirtualSize = 0x7FFF_FFFF_C000_0000;

    /// <summary>Bytes of the virtual disk, a multiple of 512.</summary>
    public required long Size { get; init; }

    /// <summary>2 or 3.</summary>
    public int Version { get; init; } = 3;

    public string? BackingFile { get; init; }

    public string? BackingFormat { get; init; }

    public int ClusterSize { get; init; } = DefaultClusterSize;

    public PreallocationMode Preallocation { get; init; }

    public bool LazyRefcounts { get; init; }

    public int RefcountBits { get; init; } = DefaultRefcountBits;

    public Qcow2CompressionType CompressionType { get; init; }

    /// <summary>The name of the file for guest data; null: the image's own.</summary>
    public string? DataFile { get; init; }

    /// <summary>The data file is to read as a raw image of the disk.</summary>
    public bool DataFileRaw { get; init; }

    /// <summary>L2 tables name every cluster from the start: a raw data file shows all of it.</summary>
    public bool MapsEverything => DataFileRaw || Preallocation != PreallocationMode.Off;

    /// <summary>L2 entries with 32 subclusters.</summary>
    public bool ExtendedL2 { get; init; }

    /// <summary>Null: the image is not encrypted.</summary>
    public Qcow2Encryption? Encryption { get; init; }

    /// <summary>Reads and validates the members of <c>blockdev-create</c>; their types have been checked.</summary>
    /// <param name="options">The members.</param>
    /// <param name="objects">Where the secret of an encrypted image is.</param>
    /// <param name="dataFile">The name of the data file, where there is one.</param>
    /// <exception cref="BlockException">In the reference's words.</exception>
    public static Qcow2CreateOptions FromJson(JsonObject options, ObjectRegistry objects, string? dataFile = null)
    {
        string version = (string?)options["version"] ?? "v3";
        var result = new Qcow2CreateOptions
        {
            Size = ReadSize(options["size"]),
            Version = version == "v2" ? 2 : 3,
            BackingFile = (string?)options["backing-file"],
            BackingFormat = (string?)options["backing-fmt"],
            ClusterSize = ReadClusterSize(options["cluster-size"]),
            Preallocation = PreallocationModeText.Parse((string?)options["preallocation"]),
            LazyRefcounts = (bool?)options["lazy-refcounts"] ?? false,
            RefcountBits = options["refcount-bits"] is { } bits ? (int)Math.Min(ReadUnsigned(bits), int.MaxValue) : DefaultRefcountBits,
            CompressionType = (string?)options["compression-type"] == "zstd" ? Qcow2CompressionType.Zstd : Qcow2CompressionType.Zlib,
            ExtendedL2 = (bool?)options["extended-l2"] ?? false,
            DataFile = dataFile,
            DataFileRaw = (bool?)options["data-file-raw"] ?? false,
        };
        result.Validate();
        return result with { Encryption = Qcow2Encryption.FromJson(options["encrypt"] as JsonObject, objects) };
    }

    /// <summary>Checks what options demand of each other.</summary>
    public void Validate()
    {
        if (!Align.Is(Size, Align.SectorSize)) throw Invalid("Image size must be a multiple of 512 bytes");
        if (!IsPowerOfTwo(ClusterSize) || ClusterSize is < 1 << Qcow2Header.MinClusterBits or > 1 << Qcow2Header.MaxClusterBits)
        {
            throw Invalid("Cluster size must be a power of two between 512 and 2048k");
        }

        if (ExtendedL2 && Version < 3)
        {
            throw Invalid("Extended L2 entries are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (ExtendedL2 && ClusterSize < Align.SectorSize << SubclusterMap.CountBits)
        {
            throw Invalid($"Extended L2 entries are only supported with cluster sizes of at least {Align.SectorSize << SubclusterMap.CountBits} bytes");
        }

        if (Preallocation != PreallocationMode.Off && BackingFile is not null && !ExtendedL2)
        {
            throw Invalid("Backing file and preallocation can only be used at the same time if extended_l2 is on");
        }

        if (BackingFormat is not null && BackingFile is null) throw Invalid("Backing format cannot be used without backing file");
        if (Version < 3 && LazyRefcounts)
        {
            throw Invalid("Lazy refcounts only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (DataFileRaw && DataFile is null) throw Invalid("data-file-raw requires data-file");
        if (DataFileRaw && BackingFile is not null) throw Invalid("Backing file and data-file-raw cannot be used at the same time");
        if (DataFile is not null && Version < 3)
        {
            throw Invalid("External data files are only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }

        if (!IsPowerOfTwo(RefcountBits) || RefcountBits > 1 << Qcow2Header.MaxRefcountOrder)
        {
            throw Invalid("Refcount width must be a power of two and may not exceed 64 bits");
        }

        if (Version < 3 && RefcountBits != DefaultRefcountBits)
        {
            throw Invalid("Different refcount widths than 16 bits require compatibility level 1.1 or above (use version=v3 or greater)");
        }

        if (Version < 3 && CompressionType != Qcow2CompressionType.Zlib)
        {
            throw Invalid("Non-zlib compression type is only supported with compatibility level 1.1 and above (use version=v3 or greater)");
        }
    }

    private static long ReadSize(JsonNode? value)
    {
        ulong size = ReadUnsigned(value);
        if (size % Align.SectorSize != 0) throw Invalid("Image size must be a multiple of 512 bytes");
        if (size > long.MaxValue) throw Invalid("Could not resize image: Image size cannot be negative");
        return size <= MaxVirtualSize
            ? (long)size
            : throw new BlockException(
                BlockErrorKind.Invalid, $"Could not resize image: offset({size}) exceeds maximum({MaxVirtualSize})");
    }

    private static int ReadClusterSize(JsonNode? value)
        => value is null ? DefaultClusterSize : (int)Math.Min(ReadUnsigned(value), int.MaxValue);

    /// <summary>A number however the caller's JSON holds it; a negative one becomes one that no option accepts.</summary>
    private static ulong ReadUnsigned(JsonNode? value)
        => ulong.TryParse(value?.ToJsonString(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong result) ? result
            : long.TryParse(value?.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long negative) ? (ulong)negative
            : throw Invalid("Parameter 'size' expects a non-negative number below 2^64");

    private static bool IsPowerOfTwo(int value) => value > 0 && BitOperations.IsPow2(value);

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
