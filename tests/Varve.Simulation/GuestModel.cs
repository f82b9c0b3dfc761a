using System.Buffers.Binary;

namespace Varve.Simulation;

// What the guest may find in a sector
//   A sector's list holds, oldest first, what may be on the disk: the last write that is known durable, then everything issued since.
//   1. A read sees the last completed entry, or a later one (in flight, or failed: whether it happened is open).
//   2. After a power loss any entry of the list may be found, sector by sector.
//   3. A flush that succeeds drops what is older than the last entry that was complete when it began.
//   4. What was discarded may read as zeros or as anything the sector ever held.

/// <summary>The guest's idea of its disk: for each sector, what may be found there.</summary>
internal sealed class GuestModel
{
    public const int SectorBytes = 512;
    private const int Discarded = -1;
    private readonly List<Entry>[] _sectors;
    private readonly List<int>[] _history;
    private readonly List<(long First, long End)> _busy = [];
    private long _lastSerial;
    private int _readsInFlight;
    private byte[]? _other;

    private GuestModel(List<Entry>[] sectors, List<int>[] history)
    {
        _sectors = sectors;
        _history = history;
    }

    /// <summary>A disk of zeros.</summary>
    public GuestModel(long length)
        : this(
            [.. Enumerable.Range(0, (int)(length / SectorBytes)).Select(_ => new List<Entry> { new(0, 0, EntryState.Complete) })],
            [.. Enumerable.Range(0, (int)(length / SectorBytes)).Select(_ => new List<int> { 0 })]) { }

    private enum EntryState { InFlight, Complete, Failed }

    /// <summary>A write that may be found; the serial number says which of two is newer.</summary>
    private readonly record struct Entry(long Serial, int Id, EntryState State)
    {
        /// <summary>No power loss can bring it back; kept while a read is under way that may have seen it.</summary>
        public bool IsObsolete { get; init; }
    }

    /// <summary>What was discarded may read as anything at all: zeros that were never encrypted are decrypted.</summary>
    public bool DiscardedIsAnything { get; init; }

    public long Length => _sectors.Length * (long)SectorBytes;

    /// <summary>What a range holds after write <paramref name="id"/>; 0: zeros.</summary>
    public static void Fill(Span<byte> buffer, long offset, int id)
    {
        if (id == 0)
        {
            buffer.Clear();
            return;
        }

        for (int at = 0; at < buffer.Length; at += 8)
        {
            long sector = (offset + at) / SectorBytes;
            ulong word = at % SectorBytes == 0 ? (ulong)id : (ulong)(id * 2654435761L) ^ (ulong)(sector << 20) ^ (ulong)(at % SectorBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(buffer[at..], word);
        }
    }

    /// <summary>Takes a range for a change, unless another change is in it: which of two wins would be open.</summary>
    public bool TryBegin(long offset, long length, int id, bool isDiscard)
    {
        long first = offset / SectorBytes, end = first + length / SectorBytes;
        if (_busy.Exists(b => b.First < end && first < b.End)) return false;
        _busy.Add((first, end));
        _lastSerial++;
        for (long s = first; s < end; s++)
        {
            _sectors[s].Add(new(_lastSerial, isDiscard ? Discarded : id, EntryState.InFlight));
            if (!isDiscard) _history[s].Add(id);
        }

        return true;
    }

    /// <summary>The change is over.</summary>
    /// <param name="offset">As given to <see cref="TryBegin"/>.</param>
    /// <param name="length">As given to <see cref="TryBegin"/>.</param>
    /// <param name="succeeded">False: some of it may have happened.</param>
    /// <param name="isDurable">It was a write through to the disk.</param>
    public void End(long offset, long length, bool succeeded, bool isDurable)
    {
        long first = offset / SectorBytes, end = first + length / SectorBytes;
        _busy.Remove((first, end));
        for (long s = first; s < end; s++)
        {
            Entry last = _sectors[s][^1];
            _sectors[s][^1] = last with { State = succeeded ? EntryState.Complete : EntryState.Failed };
            if (succeeded && isDurable) Forget(_sectors[s], last.Serial);
        }
    }

    /// <summary>A flush begins: for each sector, the oldest entry that stays possible when it succeeds.</summary>
    public long[] BeginFlush() => [.. _sectors.Select(list => list[LastComplete(list)].Serial)];

    /// <summary>The flush succeeded.</summary>
    public void EndFlush(long[] oldest)
    {
        _other = null;
        for (int s = 0; s < oldest.Length; s++) Forget(_sectors[s], oldest[s]);
    }

    /// <summary>A read begins: the oldest entry it may see, by sector. Paired with <see cref="EndRead"/>.</summary>
    public long[] BeginRead(long offset, long length)
    {
        _readsInFlight++;
        return [.. Enumerable.Range((int)(offset / SectorBytes), (int)(length / SectorBytes)).Select(s => _sectors[s][LastComplete(_sectors[s])].Serial)];
    }

    /// <summary>The read is over, and was checked before.</summary>
    public void EndRead()
    {
        if (--_readsInFlight > 0) return;
        foreach (List<Entry> list in _sectors) list.RemoveAll(e => e.IsObsolete);
    }

    /// <summary>What is wrong with what a read returned; null when nothing is.</summary>
    public string? CheckRead(long offset, ReadOnlySpan<byte> buffer, long[] oldest)
    {
        for (int i = 0; i < oldest.Length; i++)
        {
            int s = (int)(offset / SectorBytes) + i;
            long serial = oldest[i];
            IEnumerable<int> allowed = _sectors[s].Where(e => e.Serial >= serial).Select(e => e.Id);
            if (Differs(s, buffer.Slice(i * SectorBytes, SectorBytes), allowed) is { } what) return "read: " + what;
        }

        return null;
    }

    /// <summary>From now on the disk may hold something else as a whole, and never a mixture. No request is under way.</summary>
    public void BeginReplace(byte[] content) => _other = content;

    /// <summary>The disk does hold it, durably; or does not, although a power loss may still bring it until a flush has succeeded.</summary>
    public void EndReplace(byte[] content, bool happened)
    {
        if (!happened) return;
        _other = null;
        _lastSerial++;
        for (int s = 0; s < _sectors.Length; s++)
        {
            int id = FoundId(content, s);
            _sectors[s] = [new(_lastSerial, id, EntryState.Complete)];
            _history[s].Add(id);
        }
    }

    /// <summary>What is wrong with a whole disk found after a power loss; null when nothing is.</summary>
    public string? CheckSurvivor(ReadOnlySpan<byte> disk)
    {
        if (_other is not null && disk.SequenceEqual(_other)) return null;
        for (int s = 0; s < _sectors.Length; s++)
        {
            ReadOnlySpan<byte> sector = disk.Slice(s * SectorBytes, SectorBytes);
            if (Differs(s, sector, _sectors[s].Where(e => !e.IsObsolete).Select(e => e.Id)) is { } what) return "after power loss: " + what;
        }

        return null;
    }

    /// <summary>A copy, as of now.</summary>
    public GuestModel Clone() => new([.. _sectors.Select(l => new List<Entry>(l))], [.. _history.Select(l => new List<int>(l))]) 
    {
        _lastSerial = _lastSerial, _other = _other, DiscardedIsAnything = DiscardedIsAnything,
    };

    /// <summary>The model after a power loss: what was found is what is there.</summary>
    public GuestModel Settled(ReadOnlySpan<byte> disk)
    {
        var sectors = new List<Entry>[_sectors.Length];
        for (int s = 0; s < sectors.Length; s++)
        {
            sectors[s] = [new(0, FoundId(disk, s), EntryState.Complete)];
        }

        return new GuestModel(sectors, [.. _history.Select(l => new List<int>(l))]) { DiscardedIsAnything = DiscardedIsAnything };
    }

    /// <summary>The write a sector holds.</summary>
    public static int IdAt(ReadOnlySpan<byte> disk, int sector) => (int)BinaryPrimitives.ReadUInt64LittleEndian(disk[(sector * SectorBytes)..]);

    /// <summary>The write a sector holds; what no write has left there was discarded.</summary>
    private static int FoundId(ReadOnlySpan<byte> disk, int sector)
    {
        Span<byte> expected = stackalloc byte[SectorBytes];
        int id = IdAt(disk, sector);
        Fill(expected, sector * (long)SectorBytes, id);
        return disk.Slice(sector * SectorBytes, SectorBytes).SequenceEqual(expected) ? id : Discarded;
    }

    private void Forget(List<Entry> list, long olderThan)
    {
        if (_readsInFlight == 0)
        {
            list.RemoveAll(e => e.Serial < olderThan);
            return;
        }

        for (int i = 0; i < list.Count && list[i].Serial < olderThan; i++) list[i] = list[i] with { IsObsolete = true };
    }

    private static int LastComplete(List<Entry> list) => list.FindLastIndex(e => e.State == EntryState.Complete) is var i and >= 0 ? i : 0;

    private string? Differs(int sector, ReadOnlySpan<byte> bytes, IEnumerable<int> allowed)
    {
        int id = (int)BinaryPrimitives.ReadUInt64LittleEndian(bytes);
        Span<byte> expected = stackalloc byte[SectorBytes];
        Fill(expected, sector * (long)SectorBytes, id);
        List<int> ids = [.. allowed];
        if (DiscardedIsAnything && ids.Contains(Discarded)) return null;
        bool isAllowed = ids.Contains(id) || (ids.Contains(Discarded) && (id == 0 || _history[sector].Contains(id)));
        if (isAllowed && bytes.SequenceEqual(expected)) return null;
        string torn = bytes.SequenceEqual(expected) ? "" : ", and not even that whole";
        return $"sector {sector} holds write {id}{torn}; allowed: {string.Join(", ", ids)}";
    }
}
