using System.Runtime.InteropServices;

namespace Varve.Inspection;

/// <summary>Where the structures of an image lie, to find the ones that share bytes. A few bytes a structure.</summary>
internal sealed class StructureMap
{
    private readonly List<(long Start, long End, string Name)> _structures = [];
    private bool _isSorted = true;

    /// <summary>Notes a structure; empty ones are not kept.</summary>
    /// <param name="start">Bytes from the start of the file.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="name">What it is; one of few.</param>
    public void Add(long start, long length, string name)
    {
        if (start < 0 || length <= 0) return;
        _structures.Add((start, start > long.MaxValue - length ? long.MaxValue : start + length, name));
        _isSorted = false;
    }

    /// <summary>The pairs of neighbours that share bytes.</summary>
    public IEnumerable<(string First, string Second, long At)> Overlaps()
    {
        Sort();
        (long Start, long End, string Name) furthest = (0, 0, "");
        foreach ((long Start, long End, string Name) next in _structures)
        {
            if (next.Start < furthest.End) yield return (furthest.Name, next.Name, next.Start);
            if (next.End > furthest.End) furthest = next;
        }
    }

    /// <summary>The structure that a range begins in or runs into; null: none.</summary>
    public string? Find(long start, long length)
    {
        Sort();
        Span<(long Start, long End, string Name)> all = CollectionsMarshal.AsSpan(_structures);
        int low = 0, high = all.Length;
        while (low < high)   // the first that begins at or behind the end of the range
        {
            int middle = (low + high) / 2;
            if (all[middle].Start < start + length) low = middle + 1;
            else high = middle;
        }

        return low > 0 && all[low - 1].End > start ? all[low - 1].Name : null;
    }

    private void Sort()
    {
        if (_isSorted) return;
        _structures.Sort(static (a, b) => a.Start.CompareTo(b.Start));
        _isSorted = true;
    }
}
