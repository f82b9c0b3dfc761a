using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-dismiss</c>: a concluded block job is forgotten.</summary>
internal sealed class BlockJobDismiss() : QmpCommand("block-job-dismiss", Required("id", Str))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("id")).Dismiss();
        return default;
    }
}
