using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-complete</c>: a job that is ready ends its ready phase.</summary>
internal sealed class JobComplete() : QmpCommand("job-complete", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindJob(call.Text("id")).Complete();
        return default;
    }
}
