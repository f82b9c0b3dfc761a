namespace Varve.Tests.Formats.Qcow2.Concurrent;

// What a sector may hold while requests are in flight
//   1. The value of every change under way, and of every change that was under way at the same time as the last one.
//   2. A change that has ended leaves nothing of those that had ended before it began. One that may leave things as they are (a discard)
//      only adds.
//   3. Who looks may see whatever the sector may have held at any moment between the beginning and the end of looking.
//   4. What was seen while nothing was under way is what the sector holds.

/// <summary>The set of values each sector of a disk may hold, given all requests so far and those in flight. From any thread.</summary>
internal sealed class ConcurrentModel
{
    private readonly Lock _lock = new();
    private readonly List<Candidate>[] _sectors;
    private readonly int[] _underWay;
    private readonly List<Observation> _observations = [];
    private readonly List<BitmapTrack> _bitmaps = [];
    private long _clock;

    /// <param name="sectorCount">Of the disk at its longest; sectors behind its end hold zeros.</param>
    /// <param name="initial">What each holds in the beginning.</param>
    public ConcurrentModel(int sectorCount, Func<int, int> initial)
    {
        _underWay = new int[sectorCount];
        _sectors = new List<Candidate>[sectorCount];
        for (int s = 0; s < sectorCount; s++) _sectors[s] = [new Candidate(initial(s), new Change(0, 0, false) { End = 0 })];
    }

    public int SectorCount => _sectors.Length;

    /// <summary>Something begins that gives sectors another value.</summary>
    /// <param name="first">The first sector.</param>
    /// <param name="values">For each sector, what it may have become; it ends as one of them.</param>
    /// <param name="marks">Bitmaps must record it.</param>
    public Change Begin(int first, IReadOnlyList<IReadOnlyList<int>> values, bool marks)
    {
        lock (_lock)
        {
            var change = new Change(first, values.Count, marks) { Start = ++_clock };
            for (int i = 0; i < values.Count; i++)
            {
                _underWay[first + i]++;
                foreach (int value in values[i]) _sectors[first + i].Add(new Candidate(value, change));
            }

            foreach (Observation observation in _observations) observation.Disturb(first, values);
            return change;
        }
    }

    /// <summary>The same for one value.</summary>
    public Change Begin(int first, int count, int value, bool marks) => Begin(first, [.. Enumerable.Repeat<IReadOnlyList<int>>([value], count)], marks);

    /// <summary>It is done.</summary>
    /// <param name="change">What began.</param>
    /// <param name="mayHaveLeft">Some of it may not have happened.</param>
    public void End(Change change, bool mayHaveLeft = false)
    {
        lock (_lock)
        {
            change.End = ++_clock;
            for (int s = change.First; s < change.First + change.Count; s++)
            {
                _underWay[s]--;
                if (!mayHaveLeft) _sectors[s].RemoveAll(c => c.By.End < change.Start);
            }

            if (!change.Marks || mayHaveLeft) return;
            foreach (BitmapTrack bitmap in _bitmaps) bitmap.Record(change);
        }
    }

    /// <summary>Somebody begins to look at sectors.</summary>
    public Observation Observe(int first, int count)
    {
        lock (_lock)
        {
            var observation = new Observation(first, count, s => _sectors[s].Select(c => c.Value), s => _underWay[s] > 0);
            _observations.Add(observation);
            return observation;
        }
    }

    /// <summary>The looking is over: the values stay as they may have been seen.</summary>
    public void Close(Observation observation)
    {
        lock (_lock) _observations.Remove(observation);
    }

    /// <summary>The looking is over, and this was seen.</summary>
    /// <returns>What cannot be; null where nothing is wrong.</returns>
    public string? Close(Observation observation, ReadOnlySpan<byte> seen)
    {
        lock (_lock)
        {
            _observations.Remove(observation);
            for (int i = 0; i < observation.Count; i++)
            {
                int sector = observation.First + i;
                int value = SectorValue.Read(seen.Slice(i * SectorValue.Bytes, SectorValue.Bytes), sector);
                if (!observation.Allows(sector, value)) return $"sector {sector} holds {value}, not one of {observation.Describe(sector)}";
                if (observation.WasQuiet(sector)) _sectors[sector].RemoveAll(c => c.Value != value);
            }

            return null;
        }
    }

    /// <summary>A bitmap records from now on, or from now on everything anew.</summary>
    public void Track(BitmapTrack bitmap)
    {
        lock (_lock)
        {
            if (!_bitmaps.Contains(bitmap)) _bitmaps.Add(bitmap);
            bitmap.Since = ++_clock;
        }
    }

    /// <summary>A bitmap is gone.</summary>
    public void Drop(BitmapTrack bitmap)
    {
        lock (_lock) _bitmaps.Remove(bitmap);
    }

    /// <summary>Does something to bitmaps while no change ends.</summary>
    public void Change(Action change)
    {
        lock (_lock) change();
    }

    private readonly record struct Candidate(int Value, Change By);
}

/// <summary>A change of sectors, from its beginning to its end.</summary>
internal sealed class Change(int first, int count, bool marks)
{
    public int First { get; } = first;

    public int Count { get; } = count;

    public bool Marks { get; } = marks;

    public long Start { get; init; }

    public long End { get; set; } = long.MaxValue;
}
