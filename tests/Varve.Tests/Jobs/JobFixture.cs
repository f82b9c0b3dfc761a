using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>A graph with a chain base &lt;- mid &lt;- top in memory, its jobs, and everything they told.</summary>
internal sealed class JobFixture : IAsyncDisposable
{
    public const long Size = 2 << 20;
    private readonly List<JobEvent> _events = [];
    private readonly List<BlockBackend> _backends = [];

    public JobFixture(TimeProvider? time = null, BlockingThreads? copyThreads = null)
    {
        Graph = new BlockGraph(new BlockDrivers([.. BlockDrivers.Default.All, new OverlayDriver(), new MemoryDriver()]), time)
        {
            CopyThreads = copyThreads ?? BlockingThreads.Copying,
        };
        Jobs = new JobRegistry(Graph);
        Jobs.Occurred += e => { lock (_events) _events.Add(e); };
    }

    public BlockGraph Graph { get; }

    public JobRegistry Jobs { get; }

    /// <summary>Everything told so far, as short texts: <c>running</c>, <c>BLOCK_JOB_COMPLETED 0/0</c>.</summary>
    public IReadOnlyList<string> Events
    {
        get { lock (_events) return [.. _events.Select(Text)]; }
    }

    public OverlayNode this[string name] => (OverlayNode)Graph.FindNode(name)!;

    /// <summary>base filled from 0, mid from a half, top with nothing, each of <see cref="Size"/>.</summary>
    public static async Task<JobFixture> WithChainAsync(TimeProvider? time = null)
    {
        var fixture = new JobFixture(time);
        (await fixture.AddAsync("base")).Fill(0, Size, 10);
        (await fixture.AddAsync("mid", "base")).Fill(Size / 2, Size / 2, 100);
        await fixture.AddAsync("top", "mid");
        return fixture;
    }

    public async Task<OverlayNode> AddAsync(string name, string? backing = null, long size = Size)
    {
        var options = new JsonObject { ["driver"] = "overlay", ["node-name"] = name, ["size"] = size };
        if (backing is not null) options["backing"] = backing;
        return (OverlayNode)await OpenAsync(options);
    }

    public async Task<BlockNode> OpenAsync(JsonObject options, bool readOnly = false)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        return await Graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything }, new NodeSettings { ReadOnly = readOnly, Discard = true });
    }

    /// <summary>A guest: reads and writes the node.</summary>
    public async Task<BlockBackend> OpenGuestAsync(string node)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        BlockBackend guest = await Graph.OpenBackendAsync(
            Graph.FindNode(node)!, BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions.All & ~BlockPermissions.Resize);
        _backends.Add(guest);
        return guest;
    }

    public async Task<BlockJob> StreamAsync(StreamOptions options)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        return await Jobs.StartStreamAsync(options with { JobId = options.JobId ?? "j" });
    }

    /// <summary>Runs a verb as a command does.</summary>
    public async Task CommandAsync(Func<Task> command)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync();
        await command();
    }

    public Task CommandAsync(Action command) => CommandAsync(() =>
    {
        command();
        return Task.CompletedTask;
    });

    /// <summary>Waits, with patience, until <paramref name="condition"/> holds.</summary>
    public static Task UntilAsync(Func<bool> condition) => Patience.UntilAsync(condition, "a job comes to a state");

    public async ValueTask DisposeAsync()
    {
        await Jobs.CancelAllAsync().WaitAsync(Patience.Limit);
        using (await Graph.ControlLock.EnterAsync())
        {
            foreach (BlockBackend backend in _backends) await backend.CloseAsync();
        }

        await Graph.DisposeAsync();
    }

    private static string Text(JobEvent told) => told switch
    {
        JobStatusChange change => change.Status.Name(),
        BlockJobCompleted done => $"{done.Name} {done.Offset}/{done.Len}{(done.Error is null ? "" : " " + done.Error)}",
        BlockJobCancelled cancelled => $"{cancelled.Name} {cancelled.Offset}/{cancelled.Len}",
        BlockJobError error => $"{error.Name} {error.Operation} {error.Action.Name()}",
        _ => told.Name,
    };
}
