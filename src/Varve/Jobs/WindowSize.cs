namespace Varve.Jobs;

/// <summary>How many chunks to have in flight: as many as make copying faster, and few more, since a guest's requests wait in the same queues.</summary>
/// <remarks>The time a chunk takes when it waits for nobody is the least of late. Of <c>n</c> chunks in flight that take <c>t</c> now,
/// <c>n · (1 − least / t)</c> wait in some queue: the rule by which TCP Vegas sizes its window (L. Brakmo, L. Peterson, "TCP Vegas: End to End
/// Congestion Avoidance on a Global Internet", 1995). Storage that is slow to answer but answers many at once gets a wide window, memory and a
/// busy disk a narrow one.</remarks>
internal sealed class WindowSize
{
    /// <summary>As many chunks may be in flight at most.</summary>
    public const int Max = 32;

    private const int Min = 2;

    /// <summary>With fewer waiting than this the window grows; with more than that it shrinks.</summary>
    private const double FewWait = 1, ManyWait = 3;

    /// <summary>After so many chunks the least time is taken anew: the storage may have become slower for good. As long as that takes the window
    /// is the smallest, or a queue would be taken for slowness.</summary>
    private const int ChunksBetweenProbes = 256, ChunksOfProbe = 8;

    private readonly Lock _lock = new();
    private double _least = double.MaxValue, _sum;
    private int _size = Min, _sizeBeforeProbe = Min, _count, _sinceProbe;

    /// <summary>Chunks to have in flight now.</summary>
    public int Value => Volatile.Read(ref _size);

    /// <summary>A chunk was copied. From any thread.</summary>
    public void Copied(TimeSpan time)
    {
        double taken = time.TotalMicroseconds;
        lock (_lock)
        {
            _least = Math.Min(_least, taken);
            if (++_sinceProbe <= ChunksOfProbe)
            {
                if (_sinceProbe == ChunksOfProbe) _size = _sizeBeforeProbe;
                return;
            }

            _sum += taken;
            if (++_count >= _size) Adapt();
            if (_sinceProbe < ChunksBetweenProbes) return;
            (_sizeBeforeProbe, _size) = (_size, Min);
            (_least, _sum, _count, _sinceProbe) = (double.MaxValue, 0, 0, 0);
        }
    }

    private void Adapt()
    {
        double average = _sum / _count, waiting = average > 0 ? _size * (1 - (_least / average)) : 0;
        (_sum, _count) = (0, 0);
        if (waiting < FewWait && _size < Max) _size++;
        else if (waiting > ManyWait && _size > Min) _size--;
    }
}
