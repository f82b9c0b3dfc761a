namespace Varve.Protocols.File;

/// <summary>Where the large writes lie that the host has not been asked to write to the device yet: one range around all of them.</summary>
internal sealed class UnwrittenRange
{
    private readonly Lock _lock = new();
    private long _start = long.MaxValue, _end;

    public void Add(long start, long end)
    {
        lock (_lock) (_start, _end) = (Math.Min(_start, start), Math.Max(_end, end));
    }

    /// <summary>Takes the range, if there is one: bytes.</summary>
    public bool TryTake(out long start, out long end)
    {
        lock (_lock)
        {
            (start, end) = (_start, _end);
            (_start, _end) = (long.MaxValue, 0);
        }

        return start < end;
    }
}
