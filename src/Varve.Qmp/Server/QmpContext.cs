using System.Net.Sockets;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Graph;
using Varve.Jobs;
using Varve.Nbd;
using Varve.Nbd.Server;
using Varve.Nbd.Transport;
using Varve.Qmp.Events;
using Varve.Objects;
using Varve.Qmp.Server.Chardevs;

namespace Varve.Qmp.Server;

/// <summary>Everything commands work on: the graph and its jobs, exports, objects, character devices, the clients.</summary>
/// <remarks>
/// A host (the daemon, a test) makes one, adds what its command line names, adds monitors, waits for <see cref="QuitRequested"/>,
/// calls <see cref="ShutDownAsync"/> (clients still see the events of the end) and disposes it: clients get their last
/// replies, then connections close.
/// </remarks>
internal sealed class QmpContext : IAsyncDisposable
{
    private readonly TaskCompletionSource _quit = new(TaskCreationOptions.RunContinuationsAsynchronously);

    static QmpContext() => NbdNames.Register();

    public QmpContext(BlockGraph graph, JobRegistry? jobs = null, ExportRegistry? exports = null)
    {
        Graph = graph;
        Graph.TakeDescriptor = name => NamedDescriptors.Take(name);
        Jobs = jobs ?? new JobRegistry(graph);
        Exports = exports ?? new ExportRegistry(graph);
        Monitors = new QmpMonitors(this);
        Qom = new QomTree(graph.Objects);
        Jobs.Occurred += happened => Clients.Send(JobEvents.From(happened, Graph.Time));
        Graph.ImageCorrupted += corruption => Emit(BlockEvents.ImageCorrupted, BlockEvents.Describe(corruption));
        Graph.Quorums.Failure += failure => Emit(BlockEvents.QuorumFailure, BlockEvents.Describe(failure));
        Graph.Quorums.BadChild += bad => Emit(BlockEvents.QuorumReportBad, BlockEvents.Describe(bad));
        Exports.ExportDeleted = id => Emit(BlockEvents.ExportDeleted, new JsonObject { ["id"] = id });
    }

    public BlockGraph Graph { get; }

    public JobRegistry Jobs { get; }

    public ExportRegistry Exports { get; }

    public ObjectRegistry Objects => Graph.Objects;

    /// <summary>The objects as a tree of properties.</summary>
    public QomTree Qom { get; }

    /// <summary>Who is told events.</summary>
    public QmpClients Clients { get; } = new();

    public ChardevRegistry Chardevs { get; } = new();

    public QmpMonitors Monitors { get; }

    /// <summary>Descriptors waiting under a name (<c>getfd</c>).</summary>
    public NamedDescriptors NamedDescriptors { get; } = new();

    /// <summary>Whose references inside images may be followed when commands open nodes: the reference's rule, unless the host says less.</summary>
    public OpenContext OpenContext { get; init; } = new() { References = ReferencePolicy.Everything };

    /// <summary>Completes when a client has sent <c>quit</c> (or the host called <see cref="RequestQuit"/>).</summary>
    public Task QuitRequested => _quit.Task;

    public void RequestQuit() => _quit.TrySetResult();

    /// <summary>Tells every client.</summary>
    public void Emit(QmpEventType type, JsonObject data) => Clients.Send(type.Now(data, Graph.Time));

    /// <summary>The job that a <c>job-*</c> command names.</summary>
    public Job FindJob(string id) => Jobs.Find(id) ?? throw QmpException.Generic("Job not found");

    /// <summary>The job that a <c>block-job-*</c> command names.</summary>
    public BlockJob FindBlockJob(string id)
        => Jobs.FindBlockJob(id) ?? throw new QmpException(QmpException.DeviceNotActive, $"Block job '{id}' not found");

    /// <summary>Starts the NBD server. Needs the control lock.</summary>
    /// <exception cref="BlockException">One runs already, or the address cannot be bound.</exception>
    public async ValueTask StartNbdServerAsync(
        SocketTarget address, int maxConnections, TlsUpgrade? tls = null, CancellationToken cancellationToken = default)
    {
        Exports.CheckNoNbdServer();
        var options = new NbdServerOptions { MaxConnections = maxConnections, Tls = tls };
        Exports.SetNbdServer(address switch
        {
            UnixTarget { IsAbstract: false } unix => NbdServer.ListenUnix(unix.Path, options),
            DescriptorTarget passed when !char.IsAsciiDigit(passed.Name.FirstOrDefault())
                => NbdServer.Listen(AdoptSocket(NamedDescriptors.Take(passed.Name)), options),
            _ => NbdServer.Listen(await address.ListenAsync(cancellationToken).ConfigureAwait(false), options),
        });
    }

    /// <summary>Offers a node, by checked <c>BlockExportOptions</c>. Needs the control lock.</summary>
    public async ValueTask AddExportAsync(JsonObject options, CancellationToken cancellationToken = default)
    {
        string id = (string)options["id"]!;
        Exports.CheckId(id);
        BlockNode node = NodeLookup.ByName(Graph, "", (string)options["node-name"]!);
        if ((string?)options["iothread"] is { } thread && Objects.Find(thread) is not IOThread)
        {
            throw new BlockException(BlockErrorKind.NotFound, $"iothread \"{thread}\" not found");
        }

        IEnumerable<JsonNode?> bitmaps = options["bitmaps"] as JsonArray ?? [];
        await Exports.AddAsync(
            new NbdExportOptions
            {
                Id = id,
                Node = node,
                Name = (string?)options["name"],
                Description = (string?)options["description"],
                Writable = (bool?)options["writable"] ?? false,
                Writethrough = (bool?)options["writethrough"] ?? false,
                Bitmaps = [.. bitmaps.Select(b => b is JsonObject named
                    ? new ExportedBitmap((string)named["name"]!, NodeLookup.ByName(Graph, (string)named["node"]!))
                    : new ExportedBitmap((string)b!))],
                AllocationDepth = (bool?)options["allocation-depth"] ?? false,
            },
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Exports go, jobs are cancelled, nodes close; clients are told of it all. The control lock is not held.</summary>
    public async ValueTask ShutDownAsync()
    {
        using (await Graph.ControlLock.EnterAsync().ConfigureAwait(false)) await Exports.ShutdownAsync().ConfigureAwait(false);
        await Jobs.CancelAllAsync().ConfigureAwait(false);
        await Graph.DisposeAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await Monitors.DisposeAsync().ConfigureAwait(false);
        await Chardevs.DisposeAsync().ConfigureAwait(false);
        NamedDescriptors.Dispose();
    }

    private static SafeSocketHandle AdoptSocket(SafeFileHandle descriptor)
    {
        nint handle = descriptor.DangerousGetHandle();
        descriptor.SetHandleAsInvalid();
        return new SafeSocketHandle(handle, ownsHandle: true);
    }
}
