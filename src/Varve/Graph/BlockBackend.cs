using System.Runtime.CompilerServices;
using Varve.IO;

namespace Varve.Graph;

// The gate of a backend
//   1. _inFlight counts requests between Enter and Exit. A request that meets _quiesced != 0 after counting itself steps back
//      and waits; so once _quiesced is raised, _inFlight can only fall.
//   2. Draining raises _quiesced, then waits for _inFlight to reach 0. From then until it is lowered no request is in the graph
//      from this backend, and the edges it can reach may change.

/// <summary>An entry into the graph: whoever issues requests (an export, a job, an opened disk) holds one.</summary>
internal sealed class BlockBackend : IBlockParent
{
    private readonly BlockGraph _graph;
    private readonly Lock _lock = new();
    private int _inFlight;
    private volatile int _quiesced;
    private TaskCompletionSource? _idle, _resumed;

    internal BlockBackend(BlockGraph graph, string description, BlockPermissions permissions, BlockPermissions shared)
    {
        _graph = graph;
        Description = description;
        Permissions = permissions;
        Shared = shared;
        Root = new BlockChild(this, "root", ChildRole.Primary);
    }

    /// <summary>How permission errors name the holder.</summary>
    public string Description { get; }

    /// <summary>The edge to the node; retargeted when a filter or a snapshot is put on top.</summary>
    public BlockChild Root { get; }

    public BlockNode Node => Root.Node;

    /// <summary>What this backend asks of its node.</summary>
    public BlockPermissions Permissions { get; internal set; }

    /// <summary>What it lets others have.</summary>
    public BlockPermissions Shared { get; internal set; }

    /// <summary>Called when a drained section begins above this backend's node, before waiting; jobs pause.</summary>
    public Action? DrainBegin { get; set; }

    /// <summary>Called when it has ended; jobs resume.</summary>
    public Action? DrainEnd { get; set; }

    /// <summary>Something beside requests that must come to rest in a drained section: a job at its pause point. Null when at rest.</summary>
    public Func<Task?>? DrainPoll { get; set; }

    public long Length => Root.Node.Length;

    public bool IsReadOnly => (Permissions & BlockPermissions.Write) == 0;

    // ---- Requests

    /// <summary>Fills <paramref name="buffer"/>.</summary>
    /// <exception cref="BlockException">The range does not end inside the node (<see cref="BlockErrorKind.Io"/>), or the read failed.</exception>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (!TryEnter()) return ReadQuiescedAsync(offset, buffer, cancellationToken);
        return Finish(StartRead(offset, buffer, cancellationToken));
    }

    /// <summary>Writes <paramref name="buffer"/>: done when later reads see it, durable after a flush or at once with FUA.</summary>
    public ValueTask WriteAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags = WriteFlags.None, CancellationToken cancellationToken = default)
    {
        if (!TryEnter()) return WriteQuiescedAsync(offset, buffer, flags, cancellationToken);
        return Finish(StartWrite(offset, buffer, flags, cancellationToken));
    }

    /// <summary>Makes a range read as zeros.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    public async ValueTask WriteZeroesAsync(
        long offset, long length, ZeroFlags flags = ZeroFlags.None, CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            CheckWrite(offset, length);
            await Node.WriteZeroesAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Says a range is no longer needed.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    public async ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            CheckWrite(offset, length);
            await Node.DiscardAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Makes everything that completed before durable.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    public async ValueTask FlushAsync(CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            if (Node.IsReadOnly) return;
            await Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Runs something that touches the graph's data plane as one request of this backend: block status, copying up.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    public async ValueTask<T> RunAsync<T, TState>(Func<BlockNode, TState, CancellationToken, ValueTask<T>> request, TState state, CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            return await request(Node, state, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Reads machine state, which lies beside the disk; what was never written reads as zeros.</summary>
    /// <exception cref="BlockException"><c>Unsupported</c>: nothing below keeps any.</exception>
    public async ValueTask ReadVmStateAsync(long position, Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            await VmStateHolder().ReadVmStateAsync(position, buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>Writes machine state. A snapshot that is taken afterwards keeps it.</summary>
    /// <exception cref="BlockException"><c>Unsupported</c>: nothing below keeps any.</exception>
    public async ValueTask WriteVmStateAsync(long position, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        await EnterAsync().ConfigureAwait(false);
        try
        {
            BlockNode holder = VmStateHolder();
            if (holder.IsReadOnly) BlockThrow.ReadOnly(holder);
            await holder.WriteVmStateAsync(position, buffer, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    private BlockNode VmStateHolder()
    {
        BlockNode node = Node;
        while (!node.KeepsVmState && node.PrimaryChild is { } child) node = child.Node;
        return node;
    }

    private ValueTask StartRead(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        try
        {
            BlockNode node = Root.Node;
            if ((ulong)offset > (ulong)node.Length || buffer.Length > node.Length - offset) BlockThrow.OutOfRange(node, offset, buffer.Length);
            return node.ReadAsync(offset, buffer, cancellationToken);
        }
        catch
        {
            Exit();
            throw;
        }
    }

    private ValueTask StartWrite(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        try
        {
            CheckWrite(offset, buffer.Length);
            return Root.Node.WriteAsync(offset, buffer, flags, cancellationToken);
        }
        catch
        {
            Exit();
            throw;
        }
    }

    private void CheckWrite(long offset, long length)
    {
        BlockNode node = Root.Node;
        if ((ulong)offset > (ulong)node.Length || (ulong)length > (ulong)(node.Length - offset)) BlockThrow.OutOfRange(node, offset, length);
        if (node.IsReadOnly) BlockThrow.ReadOnly(node);
    }

    private ValueTask Finish(ValueTask request)
    {
        if (!request.IsCompletedSuccessfully) return FinishLaterAsync(request);
        request.GetAwaiter().GetResult();
        Exit();
        return default;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask FinishLaterAsync(ValueTask request)
    {
        try
        {
            await request.ConfigureAwait(false);
        }
        finally
        {
            Exit();
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask ReadQuiescedAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        await EnterAsync().ConfigureAwait(false);
        await Finish(StartRead(offset, buffer, cancellationToken)).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteQuiescedAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await EnterAsync().ConfigureAwait(false);
        await Finish(StartWrite(offset, buffer, flags, cancellationToken)).ConfigureAwait(false);
    }

    // ---- The gate

    private bool TryEnter()
    {
        Interlocked.Increment(ref _inFlight);
        if (_quiesced == 0) return true;
        Exit();
        return false;
    }

    /// <summary>Counts a request, waiting while the backend is quiesced. Every entry is paired with <see cref="Exit"/>.</summary>
    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    internal async ValueTask EnterAsync()
    {
        while (!TryEnter())
        {
            Task resumed;
            lock (_lock)
            {
                if (_quiesced == 0) continue;
                resumed = (_resumed ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }

            await resumed.ConfigureAwait(false);
        }
    }

    internal void Exit()
    {
        if (Interlocked.Decrement(ref _inFlight) != 0 || _quiesced == 0) return;
        TaskCompletionSource? idle;
        lock (_lock)
        {
            idle = _idle;
            _idle = null;
        }

        idle?.TrySetResult();
    }

    /// <summary>First half of draining: from now on requests wait.</summary>
    internal void Quiesce()
    {
        lock (_lock) _quiesced++;
        DrainBegin?.Invoke();
    }

    /// <summary>Second half: completes when no request is in flight.</summary>
    internal async ValueTask WaitIdleAsync()
    {
        while (true)
        {
            Task? busy = DrainPoll?.Invoke();
            if (busy is null)
            {
                lock (_lock)
                {
                    if (Volatile.Read(ref _inFlight) == 0) return;
                    busy = (_idle ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
                }

                // A request that left between the test above and the creation of _idle has nobody to tell.
                if (Volatile.Read(ref _inFlight) == 0) continue;
            }

            await busy.ConfigureAwait(false);
        }
    }

    /// <summary>Ends one <see cref="Quiesce"/>; with the last, waiting requests go on.</summary>
    internal void Resume()
    {
        TaskCompletionSource? resumed = null;
        lock (_lock)
        {
            if (--_quiesced == 0)
            {
                resumed = _resumed;
                _resumed = null;
            }
        }

        DrainEnd?.Invoke();
        resumed?.SetResult();
    }

    /// <summary>Ends the hold on the node: waits for requests in flight, then detaches. Control plane.</summary>
    public ValueTask CloseAsync() => _graph.CloseBackendAsync(this);
}
