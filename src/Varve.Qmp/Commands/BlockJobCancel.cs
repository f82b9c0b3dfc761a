using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-cancel</c>: the block job ends at its next pause point, undone.</summary>
internal sealed class BlockJobCancel() : QmpCommand("block-job-cancel", Required("device", Str), Optional("force", Bool))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.FindBlockJob(call.Text("device")).CancelAsync(call.Flag("force")).ConfigureAwait(false);
        return null;
    }
}
