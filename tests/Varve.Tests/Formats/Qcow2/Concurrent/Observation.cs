namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>Everything sectors may be seen to hold while somebody looks at them; for a snapshot, what it may have kept.</summary>
internal sealed class Observation
{
    private readonly HashSet<int>[] _values;
    private readonly bool[] _wasDisturbed;

    public Observation(int first, int count, Func<int, IEnumerable<int>> values, Func<int, bool> isDisturbed)
    {
        First = first;
        _values = new HashSet<int>[count];
        _wasDisturbed = new bool[count];
        for (int i = 0; i < count; i++)
        {
            _values[i] = [.. values(first + i)];
            _wasDisturbed[i] = isDisturbed(first + i);
        }
    }

    public int First { get; }

    public int Count => _values.Length;

    /// <summary>What each sector may have held.</summary>
    public IReadOnlyList<IReadOnlyList<int>> Values => [.. _values.Select(v => v.ToArray())];

    public bool Allows(int sector, int value) => _values[sector - First].Contains(value);

    /// <summary>Nothing was under way in the meantime.</summary>
    public bool WasQuiet(int sector) => !_wasDisturbed[sector - First];

    public string Describe(int sector) => string.Join(", ", _values[sector - First]);

    /// <summary>A change begins while somebody looks.</summary>
    public void Disturb(int first, IReadOnlyList<IReadOnlyList<int>> values)
    {
        for (int s = Math.Max(first, First); s < Math.Min(first + values.Count, First + Count); s++)
        {
            _values[s - First].UnionWith(values[s - first]);
            _wasDisturbed[s - First] = true;
        }
    }
}
