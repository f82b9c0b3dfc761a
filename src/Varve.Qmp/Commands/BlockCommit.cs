using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-commit</c>: copies the data of overlays into an image below them, then drops the overlays.</summary>
internal sealed class BlockCommit() : QmpCommand("block-commit", s_arguments)
{
    private static readonly OptionMember[] s_arguments =
    [
        Optional("job-id", Str), Required("device", Str), Optional("base-node", Str), Optional("base", Str), Optional("top-node", Str),
        Optional("top", Str), Optional("backing-file", Str), Optional("speed", Int), Optional("on-error", QmpTypes.OnError),
        Optional("filter-node-name", Str), Optional("auto-finalize", Bool), Optional("auto-dismiss", Bool),
    ];

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        string device = call.Text("device");
        BlockNode root = call.Context.Jobs.Graph.FindNode(device)
            ?? throw new QmpException(QmpException.DeviceNotFound, $"Device '{device}' not found");
        if (root.Parents.Any(e => e.Parent is not BlockBackend)) throw QmpException.Generic("Need a root block node");
        await call.Context.Jobs.StartCommitAsync(
            root,
            new CommitOptions(device)
            {
                JobId = call.OptionalText("job-id"),
                BaseNode = call.OptionalText("base-node"),
                Base = call.OptionalText("base"),
                TopNode = call.OptionalText("top-node"),
                Top = call.OptionalText("top"),
                BackingFile = call.OptionalText("backing-file"),
                Speed = call.OptionalNumber("speed") ?? 0,
                OnError = BlockStream.OnErrorOf(call.OptionalText("on-error")),
                FilterNodeName = call.OptionalText("filter-node-name"),
                AutoFinalize = call.Flag("auto-finalize", otherwise: true),
                AutoDismiss = call.Flag("auto-dismiss", otherwise: true),
            },
            cancellationToken).ConfigureAwait(false);
        return null;
    }
}
