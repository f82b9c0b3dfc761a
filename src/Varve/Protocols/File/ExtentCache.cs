namespace Varve.Protocols.File;

/// <summary>Remembers where a file that nobody changes has data and where holes. Asking the kernel takes a microsecond, and a fragmented image asks once
/// for each cluster, in no order.</summary>
internal sealed class ExtentCache
{
    /// <summary>Extents remembered at most: 24 KiB.</summary>
    private const int Capacity = 1024;

    private readonly Lock _lock = new();
    private Extent[] _extents = new Extent[16];   // sorted by end; they do not overlap
    private int _count;

    /// <summary>What lies at <paramref name="offset"/>, if that is known.</summary>
    public bool TryFind(long offset, out HostExtent found)
    {
        lock (_lock)
        {
            int at = FirstEndingAfter(offset);
            bool isKnown = at < _count && _extents[at].Start <= offset;
            found = isKnown ? new HostExtent(_extents[at].IsData, _extents[at].End) : default;
            return isKnown;
        }
    }

    /// <summary>Remembers what the kernel said of <paramref name="offset"/>.</summary>
    public void Add(long offset, HostExtent extent)
    {
        lock (_lock)
        {
            int at = FirstEndingAfter(offset);
            if (at < _count && _extents[at].End == extent.End)
            {
                _extents[at].Start = Math.Min(_extents[at].Start, offset);
                return;
            }

            if (_count == Capacity) _count = at = 0;
            if (_count == _extents.Length) Array.Resize(ref _extents, 2 * _count);
            Array.Copy(_extents, at, _extents, at + 1, _count - at);
            _extents[at] = new Extent { Start = offset, End = extent.End, IsData = extent.IsData };
            _count++;
        }
    }

    /// <summary>Forgets everything: the file may change from now on, or is another.</summary>
    public void Clear()
    {
        lock (_lock) _count = 0;
    }

    private int FirstEndingAfter(long offset)
    {
        int low = 0, high = _count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_extents[middle].End > offset) high = middle;
            else low = middle + 1;
        }

        return low;
    }

    /// <summary>From the lowest offset that was asked for to where the kernel said it ends.</summary>
    private struct Extent
    {
        public long Start, End;
        public bool IsData;
    }
}
