using System.Text.Json.Nodes;
using Varve.Filters.Quorum;
using Varve.Graph;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Events;

/// <summary>Events of nodes and exports.</summary>
internal static class BlockEvents
{
    /// <summary>Metadata of an image contradict each other; with <c>fatal</c> the node refuses further requests.</summary>
    public static QmpEventType ImageCorrupted { get; } = new("BLOCK_IMAGE_CORRUPTED",
        Required("device", Str), Optional("node-name", Str), Required("msg", Str), Optional("offset", Int), Optional("size", Int),
        Required("fatal", Bool));

    /// <summary>A guest's request failed, and its device's error policy acted.</summary>
    public static QmpEventType IOError { get; } = new("BLOCK_IO_ERROR",
        Required("device", Str), Optional("node-name", Str), Required("operation", QmpTypes.IOOperation),
        Required("action", QmpTypes.ErrorAction), Optional("nospace", Bool), Required("reason", Str));

    /// <summary>An export is gone; its id may be used again.</summary>
    public static QmpEventType ExportDeleted { get; } = new("BLOCK_EXPORT_DELETED", Required("id", Str));

    private static readonly EnumType s_quorumOperation = new("QuorumOpType", ["read", "write", "flush"]);

    /// <summary>Too few children of a quorum agreed.</summary>
    public static QmpEventType QuorumFailure { get; } = new("QUORUM_FAILURE",
        Required("reference", Str), Required("sector-num", Int), Required("sectors-count", Int));

    /// <summary>A child of a quorum failed, or was outvoted.</summary>
    public static QmpEventType QuorumReportBad { get; } = new("QUORUM_REPORT_BAD",
        Required("type", s_quorumOperation), Optional("error", Str), Required("node-name", Str), Required("sector-num", Int), Required("sectors-count", Int));

    /// <summary>The data of <see cref="QuorumFailure"/>.</summary>
    public static JsonObject Describe(QuorumFailure failure)
    {
        (long first, long count) = Sectors(failure.Offset, failure.Length);
        return new JsonObject { ["reference"] = failure.Node.NodeName, ["sector-num"] = first, ["sectors-count"] = count };
    }

    /// <summary>The data of <see cref="QuorumReportBad"/>.</summary>
    public static JsonObject Describe(QuorumBadChild bad)
    {
        (long first, long count) = Sectors(bad.Offset, bad.Length);
        var data = new JsonObject
        {
            ["type"] = s_quorumOperation.Values[(int)bad.Operation], ["node-name"] = bad.NodeName, ["sector-num"] = first, ["sectors-count"] = count,
        };
        if (bad.Error is { } error) data["error"] = error;
        return data;
    }

    private static (long First, long Count) Sectors(long offset, long length)
    {
        const int SectorSize = 512;
        long first = offset / SectorSize;
        return (first, ((offset + length + SectorSize - 1) / SectorSize) - first);
    }

    /// <summary>The data of <see cref="ImageCorrupted"/>.</summary>
    public static JsonObject Describe(ImageCorruption corruption)
    {
        var data = new JsonObject
        {
            ["device"] = "",   // no guest device is named here, the node is
            ["node-name"] = corruption.Node.NodeName,
            ["msg"] = corruption.Message,
            ["fatal"] = corruption.IsFatal,
        };
        if (corruption.Offset is { } offset) data["offset"] = offset;
        if (corruption.Length is { } length) data["size"] = length;
        return data;
    }
}
