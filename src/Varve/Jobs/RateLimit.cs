namespace Varve.Jobs;

/// <summary>The reference's speed limit: what was done is accounted afterwards, and a slice that had too much is stretched.</summary>
/// <remarks>
/// A slice is 100 ms with a quota of a tenth of the speed. Work is never refused beforehand, so the first chunk goes at once whatever
/// the limit; when a slice's quota is exceeded, the wait lasts until the slice, stretched in proportion, is over. Asking again after
/// waking early gives the rest of the wait: a job that is woken does not run ahead.
/// </remarks>
internal sealed class RateLimit(TimeProvider time)
{
    private static readonly TimeSpan s_slice = TimeSpan.FromMilliseconds(100);
    private long _quota, _dispatched;
    private long _sliceStart, _sliceEnd;   // timestamps

    /// <summary>Sets the limit in bytes per second; 0: none.</summary>
    public void SetSpeed(long bytesPerSecond)
    {
        _quota = bytesPerSecond == 0 ? 0 : Math.Max(bytesPerSecond / 10, 1);
        if (_quota == 0) _dispatched = 0;
    }

    /// <summary>So many bytes were done.</summary>
    public void Account(long bytes)
    {
        if (_quota == 0) return;
        BeginSliceIfOver();
        _dispatched += bytes;
    }

    /// <summary>How long to wait before the next request.</summary>
    public TimeSpan GetDelay()
    {
        if (_quota == 0) return TimeSpan.Zero;
        BeginSliceIfOver();
        if (_dispatched < _quota) return TimeSpan.Zero;
        double slices = Math.Min((double)_dispatched / _quota, TimeSpan.FromDays(365) / s_slice);
        _sliceEnd = _sliceStart + (long)(slices * s_slice.TotalSeconds * time.TimestampFrequency);
        TimeSpan delay = time.GetElapsedTime(time.GetTimestamp(), _sliceEnd);
        return delay > TimeSpan.Zero ? delay : TimeSpan.Zero;
    }

    private void BeginSliceIfOver()
    {
        long now = time.GetTimestamp();
        if (now < _sliceEnd) return;
        _sliceStart = now;
        _sliceEnd = now + (long)(s_slice.TotalSeconds * time.TimestampFrequency);
        _dispatched = 0;
    }
}
