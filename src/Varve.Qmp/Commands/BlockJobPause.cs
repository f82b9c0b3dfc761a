using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-pause</c>: the block job issues no more I/O from its next pause point on.</summary>
internal sealed class BlockJobPause() : QmpCommand("block-job-pause", Required("device", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("device")).Pause();
        return default;
    }
}
