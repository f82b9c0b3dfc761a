namespace Varve.Simulation;

// What a persistent bitmap may be after a power loss
//   1. Absent by name, unless it was stored once and is not being removed.
//   2. Inconsistent: the image was in use. It stays so until it is removed.
//   3. Otherwise it says "dirty" for every sector that was written since it was made or cleared, while it was enabled.
//   A write that was under way when the bitmap was cleared, enabled or disabled, or when the guest moved to another image, may fall on
//   either side: nothing is asked of the bitmap then. Version counts those changes.

/// <summary>A persistent bitmap of an image, and what it must say.</summary>
/// <param name="file">The image.</param>
/// <param name="name">Unique on the whole disk.</param>
/// <param name="sectorCount">Sectors of the guest's disk.</param>
internal sealed class BitmapModel(string file, string name, int sectorCount)
{
    private readonly List<(long First, long End, int Id)> _open = [];
    private bool[] _written = new bool[sectorCount];

    public string File => file;

    public string Name => name;

    public bool IsEnabled { get; set; } = true;

    public bool IsInconsistent { get; set; }

    /// <summary>It was stored, and nobody removes it: the image has one of that name.</summary>
    public bool IsSure { get; set; }

    /// <summary>It was stored, and nobody writes to its image: its bits can be trusted.</summary>
    public bool IsClosed { get; set; }

    /// <summary>Counts what makes it open whether writes under way are recorded.</summary>
    public int Version { get; private set; }

    public void Turn()
    {
        Version++;
        _open.Clear();
    }

    /// <summary>A write has begun. Where the disk shows it, the bitmap must.</summary>
    public void Begin(long first, long end, int id) => _open.Add((first, end, id));

    /// <summary>A write that succeeded: it counts. One that failed stays open.</summary>
    public void Complete(long first, long end, int id)
    {
        _open.Remove((first, end, id));
        for (long s = first; s < end; s++) _written[s] = true;
    }

    /// <summary>Nothing needs to be marked any more.</summary>
    public void Clear() => Array.Clear(_written);

    /// <summary>What must be marked in another must be marked in this one too.</summary>
    public void Merge(BitmapModel source)
    {
        for (int s = 0; s < _written.Length; s++) _written[s] |= source._written[s];
    }

    public BitmapModel Clone()
    {
        var clone = new BitmapModel(file, name, 0)
        {
            IsEnabled = IsEnabled, IsInconsistent = IsInconsistent, IsSure = IsSure, IsClosed = IsClosed, Version = Version, _written = [.. _written],
        };
        clone._open.AddRange(_open);
        return clone;
    }

    /// <summary>What is wrong with a bitmap that was found; null when nothing is.</summary>
    /// <param name="isMarked">Whether it marks a byte of the disk.</param>
    /// <param name="disk">What the guest finds.</param>
    public string? Check(Func<long, bool> isMarked, ReadOnlySpan<byte> disk)
    {
        for (int s = 0; s < _written.Length; s++)
        {
            bool isMissed = _written[s] || (_open.Count > 0 && GuestModel.IdAt(disk, s) is var id and > 0
                && _open.Exists(o => o.Id == id && s >= o.First && s < o.End));
            if (isMissed && !isMarked(s * (long)GuestModel.SectorBytes)) return $"bitmap {name} misses sector {s}";
        }

        return null;
    }
}
