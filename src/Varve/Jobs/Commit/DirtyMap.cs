namespace Varve.Jobs;

/// <summary>Which chunks of a node were written since a job last copied them. Marked by requests, taken by the job, without a lock.</summary>
internal sealed class DirtyMap(long length)
{
    /// <summary>Bytes of a chunk.</summary>
    public const int ChunkSize = 64 << 10;

    private readonly ulong[] _bits = new ulong[(length / ChunkSize / 64) + 1];
    private long _count;

    /// <summary>How many chunks are marked.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>Marks every chunk the range touches; what lies past the end of the map is left out.</summary>
    public void Mark(long offset, long bytes)
    {
        long end = Math.Min(offset + bytes, length);
        for (long chunk = offset / ChunkSize; chunk * ChunkSize < end; chunk++)
        {
            ulong bit = 1UL << (int)(chunk % 64);
            if ((Interlocked.Or(ref _bits[chunk / 64], bit) & bit) == 0) Interlocked.Increment(ref _count);
        }
    }

    /// <summary>Takes the first marked run at or after <paramref name="from"/>, else the first of all; it is not marked afterwards.</summary>
    /// <returns>False when nothing is marked.</returns>
    public bool TryTake(long from, int most, out long offset, out int bytes)
    {
        (offset, bytes) = (0, 0);
        long chunks = (length + ChunkSize - 1) / ChunkSize;
        long first = FindMarked(from / ChunkSize, chunks);
        if (first < 0) first = FindMarked(0, chunks);
        if (first < 0) return false;

        offset = first * ChunkSize;
        for (long chunk = first; chunk < chunks && bytes < most && TryClear(chunk); chunk++) bytes += ChunkSize;
        bytes = (int)Math.Min(bytes, length - offset);
        return bytes > 0;
    }

    private long FindMarked(long chunk, long end)
    {
        while (chunk < end)
        {
            ulong word = Volatile.Read(ref _bits[chunk / 64]) >> (int)(chunk % 64);
            if (word != 0) return chunk + System.Numerics.BitOperations.TrailingZeroCount(word);
            chunk = ((chunk / 64) + 1) * 64;
        }

        return -1;
    }

    private bool TryClear(long chunk)
    {
        ulong bit = 1UL << (int)(chunk % 64);
        if ((Interlocked.And(ref _bits[chunk / 64], ~bit) & bit) == 0) return false;
        Interlocked.Decrement(ref _count);
        return true;
    }
}
