namespace Varve.Simulation;

/// <summary>Everything that may be found on the disk.</summary>
internal sealed class Expectations(GuestModel guest)
{
    public GuestModel Guest { get; } = guest;

    public List<SnapshotModel> Snapshots { get; private init; } = [];

    public List<BitmapModel> Bitmaps { get; private init; } = [];

    public KeyModel Keys { get; init; } = new();

    /// <summary>The top may be longer than the guest's disk, and hold something there; otherwise what is there reads as zeros.</summary>
    public bool HasTail { get; set; }

    /// <summary>A copy, as of now.</summary>
    public Expectations Clone() => new(Guest.Clone())
    {
        Snapshots = [.. Snapshots],
        Bitmaps = [.. Bitmaps.Select(b => b.Clone())],
        Keys = Keys.Clone(),
        HasTail = HasTail,
    };

    /// <summary>Images that are no longer needed take what is in them along.</summary>
    public void Keep(IReadOnlyCollection<string> files)
    {
        Snapshots.RemoveAll(s => !files.Contains(s.File));
        Bitmaps.RemoveAll(b => !files.Contains(b.File));
    }

    /// <summary>A snapshot must be there, or may be.</summary>
    public void SetSure(string snapshot, bool isSure)
    {
        int index = Snapshots.FindIndex(s => s.Name == snapshot);
        Snapshots[index] = Snapshots[index] with { IsSure = isSure };
    }

    /// <summary>What was found is what there is.</summary>
    public Expectations Settled(byte[] disk, IReadOnlySet<string> snapshots, IReadOnlyDictionary<string, bool> bitmaps, IReadOnlyCollection<string> keys)
    {
        Expectations settled = new(Guest.Settled(disk))
        {
            Snapshots = [.. Snapshots.Where(s => snapshots.Contains(s.Name)).Select(s => s with { IsSure = true })],
            Bitmaps = [.. Bitmaps.Where(b => bitmaps.ContainsKey(b.Name)).Select(b => b.Clone())],
            Keys = keys.Count == 0 ? Keys : Keys.Settled(keys),
            HasTail = HasTail,
        };
        foreach (BitmapModel bitmap in settled.Bitmaps)
        {
            (bitmap.IsSure, bitmap.IsInconsistent) = (true, bitmaps[bitmap.Name]);
            bitmap.Turn();
        }

        return settled;
    }
}
