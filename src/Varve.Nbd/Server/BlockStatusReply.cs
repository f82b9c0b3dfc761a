using Varve.Bitmaps;
using Varve.Graph;
using Varve.IO;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>The reply of a BLOCK_STATUS: a chunk for each selected context, each with a bounded number of extents.</summary>
internal sealed class BlockStatusReply(RequestHeader request, IReadOnlyList<MetaContext> contexts, bool isExtended) : IDisposable
{
    /// <summary>Extents of one context in one reply; the client asks again for the rest.</summary>
    private const int MaxExtents = 8192;

    private readonly int _maxExtents = (request.Flags & CommandFlags.RequestOne) != 0 ? 1 : MaxExtents;
    private readonly int _extentSize = BlockStatusExtent.SizeOf(isExtended);
    private readonly List<IOBuffer> _chunks = [];
    private readonly List<int> _extentCounts = [];
    private IOBuffer? _reply;

    /// <summary>Asks the graph. Done when every context has at least one extent.</summary>
    public async ValueTask GatherAsync(BlockBackend backend)
    {
        foreach (MetaContext context in contexts)
        {
            IOBuffer extents = IOBuffer.Rent(_maxExtents * _extentSize);
            _chunks.Add(extents);
            if (context.Bitmap is { } bitmap)
            {
                _extentCounts.Add(GatherDirty(bitmap, extents));
                continue;
            }

            _extentCounts.Add(await backend.RunAsync(GatherAsync, (this, context, extents), default).ConfigureAwait(false));
        }
    }

    /// <summary>The reply as it is sent.</summary>
    public ReadOnlyMemory<byte> Finish(ulong cookie)
    {
        int length = _extentCounts.Sum(count => BlockStatusChunk.SizeOf(isExtended) + (count * _extentSize));
        _reply = IOBuffer.Rent(length);
        Span<byte> room = _reply.Span;
        for (int i = 0; i < contexts.Count; i++)
        {
            ChunkFlags flags = i == contexts.Count - 1 ? ChunkFlags.Done : ChunkFlags.None;
            new BlockStatusChunk(flags, cookie, contexts[i].Id, _extentCounts[i], request.Offset).WriteTo(room, isExtended);
            int size = _extentCounts[i] * _extentSize;
            _chunks[i].Span[..size].CopyTo(room[BlockStatusChunk.SizeOf(isExtended)..]);
            room = room[(BlockStatusChunk.SizeOf(isExtended) + size)..];
        }

        return _reply.Memory;
    }

    public void Dispose()
    {
        foreach (IOBuffer chunk in _chunks) chunk.Dispose();
        _reply?.Dispose();
    }

    private static async ValueTask<int> GatherAsync(
        BlockNode node, (BlockStatusReply Reply, MetaContext Context, IOBuffer Extents) asked, CancellationToken cancellationToken)
    {
        RequestHeader request = asked.Reply.Request;
        bool isAllocation = ReferenceEquals(asked.Context, MetaContext.BaseAllocation);
        long offset = (long)request.Offset, left = (long)request.Length;
        int count = 0;
        BlockStatusExtent last = default;
        while (left > 0)
        {
            BlockRun run = await ChainStatus.AboveAsync(node, null, offset, left, precise: isAllocation, cancellationToken).ConfigureAwait(false);
            if (run.Length == 0) break;   // the node was shortened meanwhile
            uint state = isAllocation ? (uint)AllocationOf(run) : (uint)run.Depth;
            if (count > 0 && last.State == state)
            {
                last = last with { Length = last.Length + (ulong)run.Length };
            }
            else
            {
                if (count == asked.Reply._maxExtents) break;
                last = new((ulong)run.Length, state);
                count++;
            }

            last.WriteTo(asked.Extents.Span[((count - 1) * asked.Reply._extentSize)..], asked.Reply.IsExtended);
            offset += run.Length;
            left -= run.Length;
        }

        return count > 0 ? count : throw new BlockException(BlockErrorKind.Io, "The export ends before the range asked for");
    }

    /// <summary>Where a bitmap is marked (1) and where not (0).</summary>
    private int GatherDirty(DirtyBitmap bitmap, IOBuffer extents)
    {
        long offset = (long)request.Offset, end = offset + (long)request.Length;
        int count = 0;
        for (; offset < end && count < _maxExtents; count++)
        {
            bool isAny = bitmap.TryFindDirty(offset, out long start, out long length) && start < end;
            bool isDirty = isAny && start == offset;
            long runEnd = !isAny ? end : isDirty ? Math.Min(start + length, end) : start;
            new BlockStatusExtent((ulong)(runEnd - offset), isDirty ? 1UL : 0).WriteTo(extents.Span[(count * _extentSize)..], isExtended);
            offset = runEnd;
        }

        return count;
    }

    private RequestHeader Request => request;

    private bool IsExtended => isExtended;

    private static AllocationState AllocationOf(BlockRun run)
        => (run.IsData ? AllocationState.None : AllocationState.Hole) | (run.IsZero ? AllocationState.Zero : AllocationState.None);
}
