using System.Text.Json.Nodes;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-stream</c>: copies the data of backing images into a node, then makes it independent of them.</summary>
internal sealed class BlockStream() : QmpCommand("block-stream", s_arguments)
{
    private static readonly OptionMember[] s_arguments =
    [
        Optional("job-id", Str), Required("device", Str), Optional("base", Str), Optional("base-node", Str), Optional("backing-file", Str),
        Optional("bottom", Str), Optional("speed", Int), Optional("on-error", QmpTypes.OnError), Optional("filter-node-name", Str),
        Optional("auto-finalize", Bool), Optional("auto-dismiss", Bool),
    ];

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Jobs.StartStreamAsync(
            new StreamOptions(call.Text("device"))
            {
                JobId = call.OptionalText("job-id"),
                Base = call.OptionalText("base"),
                BaseNode = call.OptionalText("base-node"),
                Bottom = call.OptionalText("bottom"),
                BackingFile = call.OptionalText("backing-file"),
                Speed = call.OptionalNumber("speed") ?? 0,
                OnError = OnErrorOf(call.OptionalText("on-error")),
                FilterNodeName = call.OptionalText("filter-node-name"),
                AutoFinalize = call.Flag("auto-finalize", otherwise: true),
                AutoDismiss = call.Flag("auto-dismiss", otherwise: true),
            },
            cancellationToken).ConfigureAwait(false);
        return null;
    }

    internal static OnError OnErrorOf(string? policy) => policy switch
    {
        "ignore" => OnError.Ignore,
        "enospc" => OnError.NoSpace,
        "stop" => OnError.Stop,
        "auto" => OnError.Auto,
        _ => OnError.Report,
    };
}
