using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-complete</c>: a block job that is ready ends its ready phase.</summary>
internal sealed class BlockJobComplete() : QmpCommand("block-job-complete", Required("device", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("device")).Complete();
        return default;
    }
}
