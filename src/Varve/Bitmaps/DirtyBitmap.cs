using System.Diagnostics;
using System.Numerics;

namespace Varve.Bitmaps;

// What holds for the bits
//   1. Bits are changed by single atomic operations on 64-bit words, so requests mark without a lock while others look or take.
//   2. A page of words exists from the first mark in it on; pages are made and the list of pages is replaced under _pagesLock only.
//      A page is never replaced by another, so whoever holds an old list marks bits that the new one has.
//   3. _count is the number of set bits, except between the two operations of a change.

/// <summary>Which granules of a range of bytes have changed. Marking takes no lock, and no memory but a page once per 32768 granules.</summary>
internal sealed class DirtyBitmap
{
    public const int MinGranularityBits = 9, MaxGranularityBits = 31, MaxNameLength = 1023;
    private const int WordBits = 6, PageBits = 15, WordsPerPage = 1 << (PageBits - WordBits);

    private readonly Lock _pagesLock = new();
    private volatile ulong[]?[] _pages;
    private long _length, _count;

    /// <param name="length">Bytes covered.</param>
    /// <param name="granularity">Bytes a bit stands for: a power of two, 512 to 2 GiB.</param>
    /// <param name="name">Null: a job's own, which nobody sees.</param>
    public DirtyBitmap(long length, long granularity, string? name = null)
    {
        Debug.Assert(long.IsPow2(granularity) && long.Log2(granularity) is >= MinGranularityBits and <= MaxGranularityBits);
        GranularityBits = (int)long.Log2(granularity);
        Name = name;
        _length = length;
        _pages = new ulong[]?[PageCountFor(length)];
    }

    public string? Name { get; }

    public int GranularityBits { get; }

    /// <summary>Bytes a bit stands for.</summary>
    public long Granularity => 1L << GranularityBits;

    /// <summary>Bytes covered: the node's length.</summary>
    public long Length => Volatile.Read(ref _length);

    /// <summary>How many granules are marked.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>The marked granules in bytes; the last may reach past the end.</summary>
    public long DirtyBytes => Count << GranularityBits;

    public bool IsDirty => Count > 0;

    /// <summary>Whether writes of the node are marked.</summary>
    public bool IsEnabled { get; set; } = true;

    /// <summary>Stored in the image when it is closed.</summary>
    public bool IsPersistent { get; set; }

    /// <summary>The image was not closed cleanly: what the bits were is unknown. It can only be removed.</summary>
    public bool IsInconsistent { get; set; }

    /// <summary>The image is read-only: the bitmap may not change.</summary>
    public bool IsReadOnly { get; set; }

    /// <summary>Jobs and exports that use it now.</summary>
    public int Users { get; set; }

    public bool IsBusy => Users > 0;

    private long GranuleCount => Align.Count(Length, Granularity);

    /// <summary>Marks every granule the range touches; what lies past the end is left out.</summary>
    public void Mark(long offset, long bytes)
    {
        long end = Math.Min(offset + bytes, Length);
        if (offset >= end) return;
        long last = (end - 1) >> GranularityBits;
        for (long granule = offset >> GranularityBits; granule <= last;)
        {
            int inWord = (int)(granule & 63), count = (int)Math.Min(64 - inWord, last - granule + 1);
            ulong mask = MaskOf(inWord, count);
            ulong before = Interlocked.Or(ref WordOf(granule), mask);
            if ((before & mask) != mask) Interlocked.Add(ref _count, BitOperations.PopCount(mask & ~before));
            granule += count;
        }
    }

    /// <summary>Unmarks every granule that lies in the range as a whole, or up to the end of the bitmap.</summary>
    public void Unmark(long offset, long bytes)
    {
        long end = offset + bytes >= Length ? Align.Up(Length, Granularity) : Align.Down(offset + bytes, Granularity);
        ClearGranules(Align.Up(offset, Granularity) >> GranularityBits, end >> GranularityBits);
    }

    /// <summary>Unmarks everything.</summary>
    public void Clear() => ClearGranules(0, GranuleCount);

    /// <summary>Whether the granule of an offset is marked.</summary>
    public bool IsMarked(long offset)
    {
        long granule = offset >> GranularityBits;
        return _pages[granule >> PageBits] is { } page && (Volatile.Read(ref page[WordInPage(granule)]) >> (int)(granule & 63) & 1) != 0;
    }

    /// <summary>The first run of marked bytes at or after an offset; it ends at the end of the bitmap at the latest.</summary>
    /// <returns>False when nothing is marked from there on.</returns>
    public bool TryFindDirty(long from, out long offset, out long length) => TryFindDirty(from, Length, out offset, out length);

    /// <summary>The first run of marked bytes of a range; it ends at the end of the range at the latest.</summary>
    /// <returns>False when nothing in the range is marked.</returns>
    public bool TryFindDirty(long from, long end, out long offset, out long length)
    {
        (offset, length) = (0, 0);
        end = Math.Min(end, Length);
        long endGranule = Align.Count(end, Granularity), first = Find(from >> GranularityBits, isSet: true, endGranule);
        if (first >= endGranule) return false;
        offset = Math.Max(from, first << GranularityBits);
        length = Math.Min(Find(first, isSet: false, endGranule) << GranularityBits, end) - offset;
        return length > 0;
    }

    /// <summary>Takes the first marked run at or after <paramref name="from"/>, else the first of all; it is not marked afterwards.</summary>
    /// <returns>False when nothing is marked.</returns>
    public bool TryTake(long from, int most, out long offset, out int bytes)
    {
        (offset, bytes) = (0, 0);
        long granules = GranuleCount;
        long first = Find(from >> GranularityBits, isSet: true);
        if (first >= granules) first = Find(0, isSet: true);
        if (first >= granules) return false;

        offset = first << GranularityBits;
        long taken = 0;
        for (long granule = first; granule < granules && taken < most && TryClear(granule); granule++) taken += Granularity;
        bytes = (int)Math.Min(taken, Length - offset);
        return bytes > 0;
    }

    /// <summary>Marks what another bitmap of the same length has marked; granularities may differ.</summary>
    public void Merge(DirtyBitmap source)
    {
        for (long at = 0; source.TryFindDirty(at, out long offset, out long length); at = offset + length) Mark(offset, length);
    }

    /// <summary>A bitmap with the same bits, for putting them back.</summary>
    public DirtyBitmap Copy()
    {
        var copy = new DirtyBitmap(Length, Granularity, Name);
        copy.Merge(this);
        return copy;
    }

    /// <summary>Covers another number of bytes; what is new is not marked.</summary>
    public void Resize(long length)
    {
        if (length < Length) ClearGranules(Align.Count(length, Granularity), GranuleCount);
        lock (_pagesLock)
        {
            ulong[]?[] pages = _pages;
            Array.Resize(ref pages, PageCountFor(length));
            if (length < Length)
            {
                Volatile.Write(ref _length, length);
                _pages = pages;
            }
            else
            {
                _pages = pages;
                Volatile.Write(ref _length, length);
            }
        }
    }

    // ---- Bits as they are stored: granule 0 is bit 0 of byte 0

    /// <summary>Whether no granule of a piece of the stored form is marked.</summary>
    /// <param name="firstByte">A multiple of 8.</param>
    /// <param name="byteCount">Bytes of the piece.</param>
    public bool IsClean(long firstByte, int byteCount)
    {
        long first = firstByte * 8;
        return Find(first, isSet: true) >= Math.Min(first + byteCount * 8L, GranuleCount);
    }

    /// <summary>Copies a piece of the stored form; what lies past the end is zero.</summary>
    /// <param name="firstByte">A multiple of 8.</param>
    /// <param name="bytes">Filled; a multiple of 8.</param>
    public void CopyTo(long firstByte, Span<byte> bytes)
    {
        bytes.Clear();
        ulong[]?[] pages = _pages;
        for (int i = 0; i < bytes.Length; i += 8)
        {
            long granule = (firstByte + i) * 8;
            if (granule >= GranuleCount) return;
            if (pages[granule >> PageBits] is { } page)
            {
                System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(bytes[i..], Volatile.Read(ref page[WordInPage(granule)]));
            }
        }
    }

    /// <summary>Marks what a piece of the stored form has marked; bits past the end are left out.</summary>
    /// <param name="firstByte">A multiple of 8.</param>
    /// <param name="bytes">A multiple of 8.</param>
    public void MarkFrom(long firstByte, ReadOnlySpan<byte> bytes)
    {
        long granules = GranuleCount;
        for (int i = 0; i < bytes.Length; i += 8)
        {
            long granule = (firstByte + i) * 8;
            ulong word = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes[i..]);
            if (granule >= granules) return;
            if (granules - granule < 64) word &= MaskOf(0, (int)(granules - granule));
            if (word == 0) continue;
            ulong before = Interlocked.Or(ref WordOf(granule), word);
            Interlocked.Add(ref _count, BitOperations.PopCount(word & ~before));
        }
    }

    // ---- Granules

    private static ulong MaskOf(int first, int count) => (count == 64 ? ulong.MaxValue : (1UL << count) - 1) << first;

    private static int WordInPage(long granule) => (int)(granule >> WordBits) & (WordsPerPage - 1);

    private int PageCountFor(long length) => (int)Align.Count(Align.Count(length, Granularity), 1L << PageBits);

    private ref ulong WordOf(long granule)
    {
        ulong[] page = _pages[granule >> PageBits] ?? MakePage((int)(granule >> PageBits));
        return ref page[WordInPage(granule)];
    }

    private ulong[] MakePage(int index)
    {
        lock (_pagesLock)
        {
            return index < _pages.Length ? _pages[index] ??= new ulong[WordsPerPage] : new ulong[WordsPerPage];
        }
    }

    private long Find(long granule, bool isSet) => Find(granule, isSet, GranuleCount);

    /// <summary>The first granule from <paramref name="granule"/> on that is marked, or is not; <paramref name="end"/> when there is none before it.</summary>
    private long Find(long granule, bool isSet, long end)
    {
        ulong[]?[] pages = _pages;
        end = Math.Min(end, (long)pages.Length << PageBits);
        while (granule < end)
        {
            if (pages[granule >> PageBits] is not { } page)
            {
                if (!isSet) return granule;
                granule = ((granule >> PageBits) + 1) << PageBits;
                continue;
            }

            ulong word = Volatile.Read(ref page[WordInPage(granule)]);
            ulong rest = (isSet ? word : ~word) >> (int)(granule & 63);
            if (rest != 0) return Math.Min(granule + BitOperations.TrailingZeroCount(rest), end);
            granule = (granule & ~63L) + 64;
        }

        return end;
    }

    private bool TryClear(long granule)
    {
        if (_pages[granule >> PageBits] is not { } page) return false;
        ulong bit = 1UL << (int)(granule & 63);
        if ((Interlocked.And(ref page[WordInPage(granule)], ~bit) & bit) == 0) return false;
        Interlocked.Decrement(ref _count);
        return true;
    }

    private void ClearGranules(long first, long end)
    {
        ulong[]?[] pages = _pages;
        while (first < end)
        {
            if (pages[first >> PageBits] is not { } page)
            {
                first = ((first >> PageBits) + 1) << PageBits;
                continue;
            }

            int inWord = (int)(first & 63), count = (int)Math.Min(64 - inWord, end - first);
            ulong mask = MaskOf(inWord, count);
            ulong before = Interlocked.And(ref page[WordInPage(first)], ~mask);
            Interlocked.Add(ref _count, -BitOperations.PopCount(before & mask));
            first += count;
        }
    }
}
