using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-dismiss</c>: a concluded job is forgotten.</summary>
internal sealed class JobDismiss() : QmpCommand("job-dismiss", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindJob(call.Text("id")).Dismiss();
        return default;
    }
}
