using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.Preallocate;

// A file that is longer than it says
//   1. The node ends at _dataEnd; the file below may be longer, and reads as zeros there, because nobody wrote.
//   2. It is longer only while the node may be written: before that is given up, and on closing, it is cut to _dataEnd.
//   3. A crash leaves the file too long, with zeros at its end; formats above do not mind.

/// <summary>Grows the file below in steps, ahead of the writes.</summary>
internal sealed class PreallocateNode(NodeOpening opening) : FilterNode(opening)
{
    private const long Unknown = -1;
    private readonly AsyncLock _growing = new();
    private long _dataEnd = Unknown;   // while the file below may be longer than the node

    /// <summary>How far ahead.</summary>
    internal PreallocationSteps Steps { get; set; }

    public override long Length => Volatile.Read(ref _dataEnd) is >= 0 and { } end ? end : base.Length;

    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => (needed & BlockPermissions.Write) != 0
            ? (needed | BlockPermissions.Resize, shared & ~(BlockPermissions.Write | BlockPermissions.Resize))   // the end is ours
            : (needed, shared);

    public override async ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken)
    {
        if (readOnly || (needed & BlockPermissions.Write) == 0) await CutAsync().ConfigureAwait(false);
    }

    public override Func<CancellationToken, ValueTask>? PrepareReopen(NodeOpening opening)
    {
        PreallocationSteps steps = PreallocateDriver.TakeSteps(opening, Math.Max(Below.RequestAlignment, Align.SectorSize));
        return _ =>
        {
            Steps = steps;
            return default;
        };
    }

    public override ValueTask CloseAsync() => CutAsync();

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => offset + buffer.Length <= Length
            ? base.WriteCoreAsync(offset, buffer, flags, cancellationToken)
            : WriteGrowingAsync(offset, buffer, flags, cancellationToken);

    private async ValueTask WriteGrowingAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        await GrowAsync(offset + buffer.Length, cancellationToken).ConfigureAwait(false);
        await base.WriteCoreAsync(offset, buffer, flags, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (offset + length > Length) await GrowAsync(offset + length, cancellationToken).ConfigureAwait(false);
        await base.WriteZeroesCoreAsync(offset, length, flags, cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _growing.EnterAsync().ConfigureAwait(false);
        if (_dataEnd >= 0 && Below.Length > _dataEnd) await Below.ResizeAsync(_dataEnd, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
        await Below.ResizeAsync(length, preallocation, cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _dataEnd, Unknown);
    }

    /// <summary>Moves the end of the data, and the end of the file further still where it is not there yet.</summary>
    private async ValueTask GrowAsync(long end, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _growing.EnterAsync().ConfigureAwait(false);
        if (end <= Length) return;
        if (end > Below.Length) await PreallocateAsync(end, cancellationToken).ConfigureAwait(false);
        Volatile.Write(ref _dataEnd, end);
    }

    private async ValueTask PreallocateAsync(long end, CancellationToken cancellationToken)
    {
        long before = Length, target = Align.Up(end, Steps.Align) + Align.Up(Steps.Size, Steps.Align);
        Volatile.Write(ref _dataEnd, before);   // the node does not grow by what is made ready
        try
        {
            await Below.ResizeAsync(target, PreallocationMode.Falloc, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // Where the host cannot, or has no room for so much, the file grows as it would without us.
        }
    }

    private async ValueTask CutAsync()
    {
        using AsyncLock.Holder held = await _growing.EnterAsync().ConfigureAwait(false);
        if (_dataEnd < 0) return;
        if (Child is not null && Below.Length > _dataEnd) await Below.ResizeAsync(_dataEnd, PreallocationMode.Off, CancellationToken.None).ConfigureAwait(false);
        Volatile.Write(ref _dataEnd, Unknown);
    }
}
