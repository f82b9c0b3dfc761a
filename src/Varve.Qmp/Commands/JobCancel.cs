using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-cancel</c>: the job ends at its next pause point, undone; always forced.</summary>
internal sealed class JobCancel() : QmpCommand("job-cancel", Required("id", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.FindJob(call.Text("id")).CancelAsync(force: true).ConfigureAwait(false);
        return null;
    }
}
