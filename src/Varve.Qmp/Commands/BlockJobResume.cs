using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-resume</c>: a paused block job goes on; an I/O status it stopped with is reset.</summary>
internal sealed class BlockJobResume() : QmpCommand("block-job-resume", Required("device", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("device")).Resume();
        return default;
    }
}
