using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;

namespace Varve.Qmp.Commands;

/// <summary><c>qmp_capabilities</c>: ends the negotiation, enabling what the client asks for.</summary>
internal sealed class QmpCapabilities() : QmpCommand("qmp_capabilities", Optional("enable", s_capability.List))
{
    private static readonly EnumType s_capability = new("QMPCapability", ["oob"]);

    public override bool NeedsControlLock => false;

    public override bool IsNegotiation => true;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Client.Negotiate(outOfBand: call.Arguments["enable"] is JsonArray { Count: > 0 });
        return default;
    }
}
