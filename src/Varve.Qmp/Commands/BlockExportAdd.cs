using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-export-add</c>: offers a node to clients of the NBD server.</summary>
internal sealed class BlockExportAdd() : QmpCommand("block-export-add", s_options)
{
    private static readonly ObjectType s_options = new(
        "BlockExportOptions",
        [
            Required("type", QmpTypes.ExportType), Required("id", Str), Optional("fixed-iothread", Bool), Optional("iothread", Str),
            Required("node-name", Str), Optional("writable", Bool), Optional("writethrough", Bool),
        ],
        "type",
        new Dictionary<string, ObjectType>
        {
            ["nbd"] = new("BlockExportOptionsNbd",
                [Optional("name", Str), Optional("description", Str), Optional("bitmaps", BitmapTypes.NamedOrLocal.List), Optional("allocation-depth", Bool)]),
        });

    /// <summary>The type of the options, for the command line.</summary>
    public static ObjectType Options => s_options;

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.AddExportAsync(call.Arguments, cancellationToken).ConfigureAwait(false);
        return null;
    }
}
