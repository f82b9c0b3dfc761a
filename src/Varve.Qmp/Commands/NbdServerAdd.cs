using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Qmp.Server;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>nbd-server-add</c>: exports a node under its own name; read-only where the node is.</summary>
internal sealed class NbdServerAdd() : QmpCommand("nbd-server-add", s_arguments)
{
    private static readonly OptionMember[] s_arguments =
    [
        Optional("name", Str), Optional("description", Str), Required("device", Str), Optional("writable", Bool), Optional("bitmap", Str),
    ];

    public override IReadOnlyList<string> Features => ["deprecated"];

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        string device = call.Text("device"), name = call.OptionalText("name") ?? device;
        BlockNode node = NodeLookup.ByName(call.Context.Graph, device);
        if (call.Context.Exports.NbdServer is null) throw new BlockException(BlockErrorKind.Invalid, "NBD server not running");
        await call.Context.Exports.AddAsync(
            new NbdExportOptions
            {
                Id = name, Node = node, Name = name, Description = call.OptionalText("description"),
                Writable = call.Flag("writable") && !node.IsReadOnly,
                Bitmaps = call.OptionalText("bitmap") is { } bitmap ? [new ExportedBitmap(bitmap)] : [],
            },
            cancellationToken).ConfigureAwait(false);
        return null;
    }
}
