using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Qmp.Events;
using Varve.Qmp.Server.Chardevs;

namespace Varve.Qmp.Server;

/// <summary>Everything commands work on: the graph and its jobs, exports, objects, character devices, the clients.</summary>
/// <remarks>
/// A host (the daemon, a test) makes one, adds what its command line names, adds monitors, waits for
/// <see cref="QuitRequested"/> and disposes it: clients get their last replies, then connections close. Graph, jobs and exports
/// are closed by the host, before this, so that clients see the events of the end.
/// </remarks>
internal sealed class QmpContext : IAsyncDisposable
{
    private readonly TaskCompletionSource _quit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public QmpContext(BlockGraph graph)
    {
        Graph = graph;
        Chardevs = new ChardevRegistry();
        Monitors = new QmpMonitors(this);
    }

    public BlockGraph Graph { get; }

    /// <summary>Who is told events.</summary>
    public QmpClients Clients { get; } = new();

    public ChardevRegistry Chardevs { get; }

    public QmpMonitors Monitors { get; }

    /// <summary>Completes when a client has sent <c>quit</c> (or the host called <see cref="RequestQuit"/>).</summary>
    public Task QuitRequested => _quit.Task;

    public void RequestQuit() => _quit.TrySetResult();

    /// <summary>Tells every client.</summary>
    public void Emit(QmpEventType type, JsonObject data) => Clients.Send(type.Now(data, Graph.Time));

    public async ValueTask DisposeAsync()
    {
        await Monitors.DisposeAsync().ConfigureAwait(false);
        await Chardevs.DisposeAsync().ConfigureAwait(false);
    }
}
