using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>job-finalize</c>: a pending job concludes before this returns.</summary>
internal sealed class JobFinalize() : QmpCommand("job-finalize", Required("id", Str))
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.FindJob(call.Text("id")).FinalizeAsync().ConfigureAwait(false);
        return null;
    }
}
