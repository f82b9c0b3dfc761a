namespace Varve.Simulation;

// What a disk promises, and nothing more
//   1. A write that completed is seen by later reads. It is durable when a flush that began after it completed has completed.
//   2. Until then a power loss keeps or loses each 512-byte sector of it on its own, in any order and any combination with others;
//      that goes for writes still in flight too.
//   3. A sector is kept whole or lost whole.

/// <summary>The bytes of one file on a <see cref="CrashDisk"/>: what is durable, and what has been written since.</summary>
internal sealed class CrashFile
{
    private const int SectorBytes = 512;
    private readonly List<Change> _changes = [];
    private byte[] _durable, _current;
    private long _durableLength;

    public CrashFile(byte[] content)
    {
        _durable = content;
        _current = (byte[])content.Clone();
        _durableLength = Length = content.Length;
    }

    public long Length { get; private set; }

    /// <summary>Something that happened to the file since it was last flushed.</summary>
    internal sealed class Change
    {
        public required long Offset { get; init; }

        /// <summary>What is written; empty for a change of length.</summary>
        public required byte[] Data { get; init; }

        public long? NewLength { get; init; }

        public bool IsComplete { get; set; }
    }

    public void Read(long offset, Span<byte> buffer) => _current.AsSpan((int)offset, buffer.Length).CopyTo(buffer);

    /// <summary>Changes bytes behind everybody's back, for good.</summary>
    public void Damage(int offset, ReadOnlySpan<byte> bytes)
    {
        bytes.CopyTo(_durable.AsSpan(offset));
        bytes.CopyTo(_current.AsSpan(offset));
    }

    /// <summary>A write is issued: from now on a power loss may keep some of it.</summary>
    public Change Begin(long offset, byte[] data, long? newLength = null)
    {
        var change = new Change { Offset = offset, Data = data, NewLength = newLength };
        _changes.Add(change);
        return change;
    }

    /// <summary>The write is done: reads see it.</summary>
    public void Complete(Change change)
    {
        change.IsComplete = true;
        Length = Apply(change, ref _current, Length);
    }

    /// <summary>The write failed: some of its sectors may have happened all the same, now and for good.</summary>
    public void Fail(Change change, Random random)
    {
        _changes.Remove(change);
        if (change.NewLength is not null) return;
        foreach (Change piece in Sectors(change))
        {
            if (random.Next(4) != 0) continue;
            _changes.Add(piece);
            Complete(piece);
        }
    }

    /// <summary>A flush begins: what it will make durable.</summary>
    public List<Change> BeginFlush() => [.. _changes.Where(c => c.IsComplete)];

    /// <summary>The flush is done.</summary>
    public void CompleteFlush(List<Change> flushed)
    {
        foreach (Change change in flushed)
        {
            if (_changes.Remove(change)) _durableLength = Apply(change, ref _durable, _durableLength);
        }
    }

    /// <summary>The file after a power loss: durable bytes, and whatever the disk happened to keep of the rest.</summary>
    public CrashFile AfterPowerLoss(Random random)
    {
        byte[] bytes = (byte[])_durable.Clone();
        long length = _durableLength;
        int keptPercent = random.Next(6) switch { 0 => 0, 1 => 100, 2 => 10, 3 => 90, _ => 50 };
        foreach (Change change in _changes)
        {
            if (change.NewLength is not null)
            {
                if (random.Next(100) < keptPercent) length = Apply(change, ref bytes, length);
                continue;
            }

            foreach (Change piece in Sectors(change))
            {
                if (random.Next(100) < keptPercent) length = Apply(piece, ref bytes, length);
            }
        }

        return new CrashFile(bytes[..(int)length]);
    }

    /// <summary>A write cut at sector boundaries.</summary>
    private static IEnumerable<Change> Sectors(Change change)
    {
        for (int at = 0; at < change.Data.Length;)
        {
            int size = (int)Math.Min(SectorBytes - ((change.Offset + at) % SectorBytes), change.Data.Length - at);
            yield return new Change { Offset = change.Offset + at, Data = change.Data[at..(at + size)] };
            at += size;
        }
    }

    private static long Apply(Change change, ref byte[] bytes, long length)
    {
        if (change.NewLength is { } newLength)
        {
            EnsureSize(ref bytes, newLength);
            if (newLength < length) bytes.AsSpan((int)newLength, (int)(length - newLength)).Clear();
            return newLength;
        }

        long end = change.Offset + change.Data.Length;
        EnsureSize(ref bytes, end);
        change.Data.CopyTo(bytes, change.Offset);
        return Math.Max(length, end);
    }

    private static void EnsureSize(ref byte[] bytes, long length)
    {
        if (length > bytes.Length) Array.Resize(ref bytes, (int)Math.Max(length, bytes.Length * 3L / 2));
    }
}
