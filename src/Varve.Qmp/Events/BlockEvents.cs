using System.Text.Json.Nodes;
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
