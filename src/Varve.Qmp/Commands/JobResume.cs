using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-resume</c>: a paused job goes on.</summary>
internal sealed class JobResume() : QmpCommand("job-resume", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindJob(call.Text("id")).Resume();
        return default;
    }
}
