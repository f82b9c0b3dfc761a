namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>The sectors a dirty bitmap must have marked: those of every change that began and ended while it recorded.</summary>
internal sealed class BitmapTrack(string name, int sectorCount)
{
    public const long Never = long.MaxValue;

    private readonly bool[] _mustBeMarked = new bool[sectorCount];

    public string Name { get; } = name;

    /// <summary>The moment since when it has recorded everything.</summary>
    public long Since { get; set; } = Never;

    public void Record(Change change)
    {
        if (change.Start < Since) return;
        _mustBeMarked.AsSpan(change.First, change.Count).Fill(true);
    }

    public void Clear(int from = 0) => _mustBeMarked.AsSpan(from).Clear();

    public void Merge(BitmapTrack source)
    {
        for (int s = 0; s < _mustBeMarked.Length; s++) _mustBeMarked[s] |= source._mustBeMarked[s];
    }

    /// <summary>The first sector that should be marked and is not; -1: none.</summary>
    public int FindMissed(Func<int, bool> isMarked)
    {
        for (int s = 0; s < _mustBeMarked.Length; s++)
        {
            if (_mustBeMarked[s] && !isMarked(s)) return s;
        }

        return -1;
    }
}
