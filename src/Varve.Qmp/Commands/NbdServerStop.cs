using System.Text.Json.Nodes;

namespace Varve.Qmp.Commands;

/// <summary><c>nbd-server-stop</c>: ends the NBD server: clients are let go and its exports removed.</summary>
internal sealed class NbdServerStop() : QmpCommand("nbd-server-stop")
{
    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        await call.Context.Exports.StopNbdServerAsync().ConfigureAwait(false);
        return null;
    }
}
