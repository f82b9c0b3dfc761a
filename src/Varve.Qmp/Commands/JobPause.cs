using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-pause</c>: the job issues no more I/O from its next pause point on.</summary>
internal sealed class JobPause() : QmpCommand("job-pause", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindJob(call.Text("id")).Pause();
        return default;
    }
}
