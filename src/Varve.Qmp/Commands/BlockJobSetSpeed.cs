using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-set-speed</c>: limits a block job to so many bytes per second; 0 lifts the limit.</summary>
internal sealed class BlockJobSetSpeed() : QmpCommand("block-job-set-speed", Required("device", Str), Required("speed", Int))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("device")).SetSpeed(call.Number("speed"));
        return default;
    }
}
