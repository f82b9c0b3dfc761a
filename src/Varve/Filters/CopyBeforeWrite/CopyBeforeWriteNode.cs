using System.Diagnostics;
using System.Runtime.CompilerServices;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.IO;
namespace Varve.Filters.CopyBeforeWrite;

// The disk as it was when the filter was put in
//   1. A cluster of the snapshot is in _toCopy while its old data is only in the filtered node, in _copied once the target has it. It
//      enters _copied before it leaves _toCopy, and a guest changes it only when it is not in _toCopy, or the snapshot is broken.
//   2. A copy is alone on its clusters in _requests, so each is made once; whoever wants to change them too waits for it. Readers of
//      the snapshot are registered there while they look at the filtered node: a copy, and so the change that waits for it, waits for them.
//   3. Once _failure is set nothing is copied any more, and what a reader has read by then is not handed out: it may be newer.
//   4. A copy whose time is up goes on behind its request; _leftBehind holds it, and drained sections and closing wait for it.

/// <summary>A filter that keeps what its guest is about to overwrite.</summary>
internal sealed partial class CopyBeforeWriteNode(NodeOpening opening) : FilterNode(opening)
{
    private const int SmallestCluster = 64 << 10;
    private static readonly TimeSpan s_longestTimeout = TimeSpan.FromMilliseconds(int.MaxValue);   // of a timer

    private readonly RequestTracker _requests = new();
    private readonly Lock _lock = new();
    private readonly List<Task> _leftBehind = [];
    private DirtyBitmap _toCopy = null!, _copied = null!, _accessible = null!;
    private BlockChild? _target;
    private bool _breaksSnapshot;
    private TimeSpan _timeout;
    private volatile BlockException? _failure;

    /// <summary>Bytes of the disk when the filter was put in.</summary>
    public long SnapshotLength { get; private set; }

    private BlockNode Target => _target!.Node;

    private long Cluster => _toCopy.Granularity;

    public override void OnChildrenChanged()
    {
        base.OnChildrenChanged();
        _target = FindChild("target");
    }

    protected internal override string? GetExactFilename(bool hasStrongOptions) => Child?.Node.ExactFilename;

    /// <summary>Nobody writes around a filter that a writer uses, and nobody else resizes the target.</summary>
    /// <remarks>Writing the target is shared all the same: a target whose backing image is the filtered node passes on to it what is shared
    /// here, and could not be there beside the guest otherwise.</remarks>
    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
    {
        if ((role & ChildRole.Filtered) == 0) return (BlockPermissions.Write, BlockPermissions.All & ~BlockPermissions.Resize);
        return (needed & BlockPermissions.Write) == 0
            ? (needed, shared)
            : (needed | BlockPermissions.ConsistentRead, shared & ~(BlockPermissions.Write | BlockPermissions.Resize));
    }

    public override Task? DrainPoll()
    {
        lock (_lock)
        {
            _leftBehind.RemoveAll(static t => t.IsCompleted);
            return _leftBehind.Count == 0 ? null : Task.WhenAny(_leftBehind);
        }
    }

    public override async ValueTask CloseAsync()
    {
        while (DrainPoll() is { } busy) await busy.ConfigureAwait(false);
    }

    /// <summary>From now on old data is kept.</summary>
    /// <param name="limit">What of the disk is: all of it without one.</param>
    /// <param name="breaksSnapshot">What fails when a copy fails: the snapshot, or the guest's request.</param>
    /// <param name="timeout">When a copy counts as failed; zero: never.</param>
    /// <exception cref="BlockException">The bitmap covers another length.</exception>
    internal void Begin(DirtyBitmap? limit, bool breaksSnapshot, TimeSpan timeout)
    {
        SnapshotLength = Length;
        if (limit is not null && limit.Length != SnapshotLength)
        {
            throw new BlockException(
                BlockErrorKind.Invalid,
                $"Cannot create block-copy-state: Failed to merge bitmap '{limit.Name}' to internal copy-bitmap: Bitmaps are of different sizes "
                + $"(destination size is {SnapshotLength}, source size is {limit.Length}) and can't be merged");
        }

        int cluster = Math.Max(SmallestCluster, Target.ClusterSize);
        (_toCopy, _copied, _accessible) = (new(SnapshotLength, cluster), new(SnapshotLength, cluster), new(SnapshotLength, cluster));
        if (limit is null) _toCopy.Mark(0, SnapshotLength);
        else _toCopy.Merge(limit);
        _accessible.Merge(_toCopy);
        (_breaksSnapshot, _timeout) = (breaksSnapshot, timeout < s_longestTimeout ? timeout : s_longestTimeout);
    }

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        return (flags & WriteFlags.Unchanged) != 0 || !NeedsCopy(offset, buffer.Length)
            ? base.WriteCoreAsync(offset, buffer, flags, cancellationToken)
            : AfterCopyAsync();

        [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
        async ValueTask AfterCopyAsync()
        {
            await KeepAsync(offset, buffer.Length, cancellationToken).ConfigureAwait(false);
            await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
        }
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if ((flags & ZeroFlags.Unchanged) == 0 && NeedsCopy(offset, length)) await KeepAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (NeedsCopy(offset, length)) await KeepAsync(offset, length, cancellationToken).ConfigureAwait(false);
        await base.DiscardCoreAsync(offset, length, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>What a shorter disk loses is kept too.</summary>
    protected override async ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        long lost = Length - length;
        if (lost > 0 && NeedsCopy(length, lost)) await KeepAsync(length, lost, cancellationToken).ConfigureAwait(false);
        await base.ResizeCoreAsync(length, preallocation, cancellationToken).ConfigureAwait(false);
    }

    private bool NeedsCopy(long offset, long length) => _failure is null && _toCopy.TryFindDirty(offset, offset + length, out _, out _);

    /// <summary>Copies what of a range is not copied yet; afterwards it may change.</summary>
    /// <exception cref="BlockException">A copy failed, and the guest's request is to fail with it.</exception>
    private async ValueTask KeepAsync(long offset, long length, CancellationToken cancellationToken)
    {
        try
        {
            await CopyInTimeAsync(offset, length, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (_breaksSnapshot)
        {
            _failure ??= e;
        }
    }

    private async ValueTask CopyInTimeAsync(long offset, long length, CancellationToken cancellationToken)
    {
        if (_timeout == TimeSpan.Zero)
        {
            await CopyRangeAsync(offset, length, cancellationToken).ConfigureAwait(false);
            return;
        }

        using var overdue = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        Task copy = CopyRangeAsync(offset, length, overdue.Token);
        try
        {
            await copy.WaitAsync(_timeout, Graph.Time, cancellationToken).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            await overdue.CancelAsync().ConfigureAwait(false);
            LeaveBehind(copy);
            throw BlockException.FromErrno(Errno.ETIMEDOUT);
        }
        catch (OperationCanceledException)
        {
            LeaveBehind(copy);
            throw;
        }
    }

    private void LeaveBehind(Task copy)
    {
        _ = copy.ContinueWith(static t => t.Exception, TaskScheduler.Default);   // whoever waited for it has had an answer
        lock (_lock)
        {
            _leftBehind.RemoveAll(static t => t.IsCompleted);
            _leftBehind.Add(copy);
        }
    }

    private async Task CopyRangeAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long start = Align.Down(offset, Cluster), end = Math.Min(Align.Up(offset + length, Cluster), SnapshotLength);
        while (_failure is null && _toCopy.TryFindDirty(start, end, out long at, out long run))
        {
            run = Math.Min(run, Math.Max(Cluster, IOBuffer.MaxTransfer));
            cancellationToken.ThrowIfCancellationRequested();
            TrackedRequest alone = await _requests.EnterAsync(at, run, serialising: true).ConfigureAwait(false);
            try
            {
                await CopyAloneAsync(at, at + run, cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                _requests.Exit(alone);
            }

            start = at + run;
        }
    }

    /// <summary>Copies what is still to be copied between two offsets; another request may have done some of it meanwhile.</summary>
    private async ValueTask CopyAloneAsync(long start, long end, CancellationToken cancellationToken)
    {
        while (_failure is null && _toCopy.TryFindDirty(start, end, out long at, out long run))
        {
            Debug.Assert(Align.Is(at, Cluster));
            if (at + run > Target.Length) BlockThrow.OutOfRange(Target, at, run);
            for (long done = 0; done < run;)
            {
                BlockRun status = await ChainStatus.AboveAsync(Below, null, at + done, run - done, precise: true, cancellationToken).ConfigureAwait(false);
                int piece = (int)Math.Min(status.Length > 0 ? status.Length : run - done, IOBuffer.MaxTransfer);
                if (status.IsZero) await Target.WriteZeroesAsync(at + done, piece, ZeroFlags.MayUnmap, cancellationToken).ConfigureAwait(false);
                else await CopyPieceAsync(at + done, piece, cancellationToken).ConfigureAwait(false);
                done += piece;
            }

            _copied.Mark(at, run);
            _toCopy.Unmark(at, run);
            start = at + run;
        }
    }

    private async ValueTask CopyPieceAsync(long offset, int length, CancellationToken cancellationToken)
    {
        using IOBuffer data = IOBuffer.Rent(length);
        await Below.ReadAsync(offset, data.Memory, cancellationToken).ConfigureAwait(false);
        await Target.WriteAsync(offset, data.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
    }
}
