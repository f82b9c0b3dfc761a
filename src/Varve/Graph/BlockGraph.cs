using Microsoft.Win32.SafeHandles;
using Varve.Protocols.File;

namespace Varve.Graph;

// The control plane
//   1. Everything that changes the graph (opening, closing, jobs starting and ending, QMP commands) holds ControlLock. Requests
//      never take it: they run while it is held, unless the part of the graph they would cross is drained.
//   2. ControlLock is not re-entrant. Members that need it say so; callers take it once, at the edge (a QMP command, a library call,
//      a job's completion).

/// <summary>All nodes of one block layer: by name, with their references, and the lock under which they change.</summary>
internal sealed partial class BlockGraph : IAsyncDisposable
{
    private readonly Dictionary<string, BlockNode> _nodes = new(StringComparer.Ordinal);
    private readonly LinkedList<BlockNode> _newestFirst = new();
    private int _generatedNames;
    private long _chainVersion;

    public BlockGraph(BlockDrivers? drivers = null, TimeProvider? time = null)
    {
        Drivers = drivers ?? BlockDrivers.Default;
        Time = time ?? TimeProvider.System;
    }

    /// <summary>The drivers this graph opens nodes with.</summary>
    public BlockDrivers Drivers { get; }

    public TimeProvider Time { get; }

    /// <summary>Limits that throttle nodes share.</summary>
    public Filters.Throttle.ThrottleGroups ThrottleGroups => field ??= new(Time);

    /// <summary>What nodes and exports refer to by id: secrets, throttle groups, credentials.</summary>
    public Objects.ObjectRegistry Objects => field ??= new(this);

    /// <summary>Open files passed in by a management program, for names like <c>/dev/fdset/3</c>.</summary>
    public FdSets FdSets { get; } = new();

    /// <summary>What quorums report.</summary>
    public Filters.Quorum.QuorumReports Quorums { get; } = new();

    /// <summary>Takes a descriptor that a management program passed in under a name; null where there is no such program.</summary>
    public Func<string, SafeFileHandle>? TakeDescriptor { get; set; }

    /// <summary>Connections that a driver opens to a server which takes several, where its node's options do not say.</summary>
    public int ConnectionsPerServer { get; set; } = 1;

    /// <summary>Where jobs copy; null: in the thread pool, as simulators need it which decide what runs when.</summary>
    internal IO.BlockingThreads? CopyThreads { get; init; } = IO.BlockingThreads.Copying;

    /// <summary>Held while the graph changes.</summary>
    public ControlLock ControlLock { get; } = new();

    /// <summary>Every node, newest first.</summary>
    public IReadOnlyCollection<BlockNode> Nodes => _newestFirst;

    public BlockNode? FindNode(string name) => _nodes.GetValueOrDefault(name);

    /// <summary>Counts changes of edges; caches of chain-wide facts compare it.</summary>
    public int Version { get; private set; }

    /// <summary>Counts what may change which image of a chain has a range. Any thread.</summary>
    internal long ChainVersion => Volatile.Read(ref _chainVersion);

    internal void OnChanged()
    {
        Version++;
        OnChainChanged();
    }

    internal void OnChainChanged() => Interlocked.Increment(ref _chainVersion);

    /// <summary>A name nobody uses, as the reference generates them: <c>#block</c> and a number.</summary>
    public string GenerateNodeName()
    {
        string name;
        do name = $"#block{_generatedNames++:D3}";
        while (_nodes.ContainsKey(name));
        return name;
    }

    /// <summary>Makes a constructed node known by its name. The caller holds its first reference: see <see cref="ReleaseAsync"/>.</summary>
    /// <param name="node">The node.</param>
    /// <param name="after">The node it counts as just newer than, where others have come since: an image is older than its backing.</param>
    internal void Add(BlockNode node, BlockNode? after = null)
    {
        if (!_nodes.TryAdd(node.NodeName, node))
        {
            throw new BlockException(BlockErrorKind.InUse, $"Duplicate nodes with node-name='{node.NodeName}'") { Errno = Errno.EINVAL };
        }

        if (after is not null && _newestFirst.Find(after) is { } place) _newestFirst.AddBefore(place, node);
        else _newestFirst.AddFirst(node);
        node.IsOpened = true;
        node.ExplicitReferences++;
    }

    /// <summary>Gives back one explicit reference; the node closes when it was the last and no parent holds it.</summary>
    public ValueTask ReleaseAsync(BlockNode node)
    {
        node.ExplicitReferences--;
        return CloseUnreferencedAsync();
    }

    /// <summary>A new way into the graph at <paramref name="node"/>. Needs <see cref="ControlLock"/>.</summary>
    /// <exception cref="BlockException">The permissions conflict with another user's.</exception>
    public async ValueTask<BlockBackend> OpenBackendAsync(
        BlockNode node, BlockPermissions permissions, BlockPermissions shared, string description = "an unnamed block device",
        CancellationToken cancellationToken = default)
    {
        var backend = new BlockBackend(this, description, permissions, shared);
        var change = new GraphTransaction(this);
        change.Attach(backend, "root", ChildRole.Primary, node);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
        return backend;
    }

    internal async ValueTask CloseBackendAsync(BlockBackend backend)
    {
        var change = new GraphTransaction(this);
        change.Detach(backend.Root);
        await change.PrepareAsync().ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
    }

    /// <summary>Waits until no request is in the part of the graph above and below <paramref name="nodes"/>, and holds new ones back.</summary>
    public static ValueTask<DrainedSection> DrainAsync(params IEnumerable<BlockNode> nodes) => DrainedSection.BeginAsync(nodes);

    /// <summary>Closes every node that has no parent and no explicit reference, and then what only they referred to.</summary>
    internal async ValueTask CloseUnreferencedAsync()
    {
        while (_newestFirst.FirstOrDefault(n => n.Parents.Count == 0 && n.ExplicitReferences == 0) is { } node)
        {
            await CloseNodeAsync(node).ConfigureAwait(false);
        }
    }

    /// <summary>Closes one node whatever its state, releasing its children; used for unreferenced nodes and failed openings.</summary>
    internal async ValueTask CloseNodeAsync(BlockNode node)
    {
        _nodes.Remove(node.NodeName);
        _newestFirst.Remove(node);
        try
        {
            await node.CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            node.IsOpened = false;
            var change = new GraphTransaction(this);
            foreach (BlockChild child in node.Children) change.Detach(child);
            await change.PrepareAsync().ConfigureAwait(false);
            change.Commit();
        }
    }

    /// <summary>Closes everything, top down. Backends and jobs have been closed before.</summary>
    public async ValueTask DisposeAsync()
    {
        using IDisposable held = await ControlLock.EnterAsync().ConfigureAwait(false);
        foreach (BlockNode node in _newestFirst) node.ExplicitReferences = 0;
        await CloseUnreferencedAsync().ConfigureAwait(false);
        FdSets.Dispose();
        Objects.Dispose();
    }
}
