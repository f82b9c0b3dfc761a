using System.Numerics;
using Varve.Graph;

namespace Varve.Filters.BlkDebug;

/// <summary>Limits a <c>blkdebug</c> node pretends to have, in bytes; 0: none.</summary>
internal readonly record struct BlkDebugLimits(
    long Align, long MaxTransfer, long ZeroesAlign, long MaxZeroes, long DiscardAlign, long MaxDiscard);

/// <summary>A filter that fails, suspends or cuts up requests by its rules.</summary>
internal sealed class BlkDebugNode(NodeOpening opening) : FilterNode(opening)
{
    private BlkDebugLimits _limits;

    /// <summary>What happens when; breakpoints come and go while the node runs.</summary>
    public BlkDebugRules Rules { get; } = new() { Say = opening.Context.Say };

    /// <summary>The node that can set breakpoints for <paramref name="node"/>: itself, or the first below it on the way to its bytes.</summary>
    /// <exception cref="BlockException">There is none.</exception>
    public static BlkDebugNode FindBelow(BlockNode node)
    {
        for (BlockNode? next = node; next is not null; next = (next.PrimaryChild ?? next.FilteredChild)?.Node)
        {
            if (next is BlkDebugNode found) return found;
        }

        throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = node.NodeName };
    }

    public BlockPermissions TakePermissions { get; set; }

    public BlockPermissions UnsharePermissions { get; set; }

    public override int RequestAlignment => _limits.Align == 0 ? 1 : (int)_limits.Align;

    public override ValueTask DebugEventAsync(BlkdebugEvent debugEvent) => Rules.ProcessAsync(debugEvent);

    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => (needed | TakePermissions, shared & ~UnsharePermissions);

    /// <exception cref="BlockException">They contradict each other.</exception>
    internal void SetLimits(BlkDebugLimits limits)
    {
        if (limits.Align != 0 && (limits.Align >= int.MaxValue || !BitOperations.IsPow2(limits.Align))) throw Unmet("align", limits.Align);
        long align = Math.Max(limits.Align, Below.RequestAlignment);
        if (!Fits(limits.MaxTransfer, align)) throw Unmet("max-transfer", limits.MaxTransfer);
        if (!Fits(limits.ZeroesAlign, align)) throw Unmet("opt-write-zero", limits.ZeroesAlign);
        if (!Fits(limits.MaxZeroes, Math.Max(limits.ZeroesAlign, align))) throw Unmet("max-write-zero", limits.MaxZeroes);
        if (!Fits(limits.DiscardAlign, align)) throw Unmet("opt-discard", limits.DiscardAlign);
        if (!Fits(limits.MaxDiscard, Math.Max(limits.DiscardAlign, align))) throw Unmet("max-discard", limits.MaxDiscard);
        _limits = limits;
        TrackBecauseOfAlignment();
    }

    /// <summary><c>blkdebug:[configuration]:image</c>, when nothing but those two would be lost.</summary>
    protected internal override string? GetExactFilename(bool hasStrongOptions)
    {
        bool hasOthers = GivenOptions.ContainsKey("inject-error") || GivenOptions.ContainsKey("set-state");
        if (hasOthers || Child?.Node.ExactFilename is not { } image) return null;
        return $"blkdebug:{(string?)GivenOptions["config"]}:{image}";
    }

    protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int length = Piece(buffer.Length, _limits.MaxTransfer);
            await CheckAsync(offset, length, BlkDebugIOTypes.Read).ConfigureAwait(false);
            await Below.ReadAsync(offset, buffer[..length], cancellationToken).ConfigureAwait(false);
            buffer = buffer[length..];
            offset += length;
        }
    }

    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        while (!buffer.IsEmpty)
        {
            int length = Piece(buffer.Length, _limits.MaxTransfer);
            await DebugEventAsync(BlkdebugEvent.Pwritev).ConfigureAwait(false);
            await CheckAsync(offset, length, BlkDebugIOTypes.Write).ConfigureAwait(false);
            await Below.WriteAsync(offset, buffer[..length], flags, cancellationToken).ConfigureAwait(false);
            await DebugEventAsync(BlkdebugEvent.PwritevDone).ConfigureAwait(false);
            buffer = buffer[length..];
            offset += length;
        }
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        long align = Math.Max(_limits.ZeroesAlign, RequestAlignment);
        if (offset % align != 0 || length % align != 0)
        {
            throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };
        }

        while (length > 0)
        {
            long piece = _limits.MaxZeroes == 0 ? length : Math.Min(length, _limits.MaxZeroes);
            await DebugEventAsync(BlkdebugEvent.PwritevZero).ConfigureAwait(false);
            await CheckAsync(offset, piece, BlkDebugIOTypes.WriteZeroes).ConfigureAwait(false);
            await Below.WriteZeroesAsync(offset, piece, flags, cancellationToken).ConfigureAwait(false);
            await DebugEventAsync(BlkdebugEvent.PwritevDone).ConfigureAwait(false);
            offset += piece;
            length -= piece;
        }
    }

    protected override async ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
    {
        long align = Math.Max(_limits.DiscardAlign, RequestAlignment);
        long end = (offset + length) / align * align;
        offset = (offset + align - 1) / align * align;
        while (offset < end)
        {
            long piece = _limits.MaxDiscard == 0 ? end - offset : Math.Min(end - offset, _limits.MaxDiscard);
            await CheckAsync(offset, piece, BlkDebugIOTypes.Discard).ConfigureAwait(false);
            await Below.DiscardAsync(offset, piece, cancellationToken).ConfigureAwait(false);
            offset += piece;
        }
    }

    protected override async ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        await CheckAsync(0, 0, BlkDebugIOTypes.Flush).ConfigureAwait(false);
        await base.FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    protected override async ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        await CheckAsync(offset, length, BlkDebugIOTypes.BlockStatus).ConfigureAwait(false);
        return await Below.GetStatusAsync(offset, length, precise, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask CheckAsync(long offset, long length, BlkDebugIOTypes type)
    {
        if (Rules.Check(offset, length, type) is not { } rule) return;
        if (!rule.Immediately) await Task.Yield();
        throw new BlockException(Errno.KindOf(rule.Errno), Errno.Text(rule.Errno)) { Errno = rule.Errno, NodeName = NodeName, Offset = offset };
    }

    private static int Piece(int length, long max) => max == 0 ? length : (int)Math.Min(length, max);

    private static bool Fits(long limit, long align) => limit is >= 0 and < int.MaxValue && limit % align == 0;

    private static BlockException Unmet(string option, long value)
        => new(BlockErrorKind.Invalid, $"Cannot meet constraints with {option} {value}");
}
