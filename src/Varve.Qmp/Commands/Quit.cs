using System.Text.Json.Nodes;

namespace Varve.Qmp.Commands;

/// <summary><c>quit</c>: the host closes exports, cancels jobs, closes nodes and ends.</summary>
internal sealed class Quit() : QmpCommand("quit")
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.RequestQuit();
        return default;
    }
}
