using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Schema;

/// <summary>What queries tell about nodes and images.</summary>
internal static class BlockInfoTypes
{
    private static readonly ObjectType s_cache = new("BlockdevCacheInfo",
        [Required("writeback", Bool), Required("direct", Bool), Required("no-flush", Bool)]);

    private static readonly ObjectType s_dirtyBitmap = new("BlockDirtyInfo",
    [
        Optional("name", Str), Required("count", Int), Required("granularity", OptionType.UInt32), Required("recording", Bool),
        Required("busy", Bool), Required("persistent", Bool), Optional("inconsistent", Bool),
    ]);

    /// <summary>A snapshot inside an image.</summary>
    public static ObjectType Snapshot { get; } = new("SnapshotInfo",
    [
        Required("id", Str), Required("name", Str), Required("vm-state-size", Int), Required("date-sec", Int), Required("date-nsec", Int),
        Required("vm-clock-sec", Int), Required("vm-clock-nsec", Int), Optional("icount", Int),
    ]);

    private static readonly ObjectType s_qcow2Bitmap = new("Qcow2BitmapInfo",
    [
        Required("name", Str), Required("granularity", OptionType.UInt32),
        Required("flags", new EnumType("Qcow2BitmapInfoFlags", ["in-use", "auto"]).List),
    ]);

    private static readonly ObjectType s_qcow2 = new("ImageInfoSpecificQCow2",
    [
        Required("compat", Str), Optional("data-file", Str), Optional("data-file-raw", Bool), Optional("extended-l2", Bool),
        Optional("lazy-refcounts", Bool), Optional("corrupt", Bool), Required("refcount-bits", Int), Optional("bitmaps", s_qcow2Bitmap.List),
        Required("compression-type", new EnumType("Qcow2CompressionType", ["zlib", "zstd"])),
    ]);

    private static readonly ObjectType s_file = new("ImageInfoSpecificFile", [Optional("extent-size-hint", Size)]);

    private static readonly ObjectType s_specific = new(
        "ImageInfoSpecific",
        [Required("type", new EnumType("ImageInfoSpecificKind", ["qcow2", "file"]))],
        "type",
        new Dictionary<string, ObjectType> { ["qcow2"] = QmpTypes.Wrapper(s_qcow2), ["file"] = QmpTypes.Wrapper(s_file) });

    private static readonly List<OptionMember> s_imageMembers =
    [
        Required("filename", Str), Required("format", Str), Optional("dirty-flag", Bool), Optional("actual-size", Int),
        Required("virtual-size", Int), Optional("cluster-size", Int), Optional("encrypted", Bool), Optional("compressed", Bool),
        Optional("backing-filename", Str), Optional("full-backing-filename", Str), Optional("backing-filename-format", Str),
        Optional("snapshots", Snapshot.List), Optional("format-specific", s_specific),
    ];

    /// <summary>An image and, inside it, its backing image.</summary>
    public static ObjectType Image { get; } = MakeImage();

    /// <summary>A node as something in use.</summary>
    public static ObjectType Device { get; } = new("BlockDeviceInfo",
    [
        Required("file", Str), Optional("node-name", Str), Required("ro", Bool), Required("drv", Str), Optional("backing_file", Str),
        Required("backing_file_depth", Int), Required("encrypted", Bool), Required("detect_zeroes", QmpTypes.DetectZeroes),
        Required("bps", Int), Required("bps_rd", Int), Required("bps_wr", Int), Required("iops", Int), Required("iops_rd", Int),
        Required("iops_wr", Int), Required("image", Image), Optional("bps_max", Int), Optional("bps_rd_max", Int), Optional("bps_wr_max", Int),
        Optional("iops_max", Int), Optional("iops_rd_max", Int), Optional("iops_wr_max", Int), Optional("bps_max_length", Int),
        Optional("bps_rd_max_length", Int), Optional("bps_wr_max_length", Int), Optional("iops_max_length", Int),
        Optional("iops_rd_max_length", Int), Optional("iops_wr_max_length", Int), Optional("iops_size", Int), Optional("group", Str),
        Required("cache", s_cache), Required("write_threshold", Int), Optional("dirty-bitmaps", s_dirtyBitmap.List),
    ]);

    private static ObjectType MakeImage()
    {
        var image = new ObjectType("ImageInfo", s_imageMembers);
        s_imageMembers.Add(Optional("backing-image", image));   // the type refers to itself
        return image;
    }
}
