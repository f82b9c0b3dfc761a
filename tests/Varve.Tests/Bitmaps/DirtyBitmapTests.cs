using Varve.Bitmaps;

namespace Varve.Tests.Bitmaps;

public sealed class DirtyBitmapTests
{
    [Theory]
    [InlineData(1_000_000, 512, 1)]
    [InlineData(40_000_000, 512, 2)]
    [InlineData(5_000_000_000, 65536, 3)]
    public void It_marks_finds_and_forgets_as_an_array_of_bools_does(long length, long granularity, int seed)
    {
        var random = new Random(seed);
        var bitmap = new DirtyBitmap(length, granularity);
        bool[] model = new bool[Align.Count(length, granularity)];
        for (int step = 0; step < 300; step++)
        {
            long offset = random.NextInt64(length), bytes = random.NextInt64(1, Math.Min(length - offset, granularity * 300) + 1);
            switch (random.Next(5))
            {
                case < 3:
                    bitmap.Mark(offset, bytes);
                    for (long g = offset / granularity; g <= (offset + bytes - 1) / granularity; g++) model[g] = true;
                    break;
                case 3:
                    bitmap.Unmark(offset, bytes);
                    long end = offset + bytes >= length ? model.Length : (offset + bytes) / granularity;
                    for (long g = Align.Count(offset, granularity); g < end; g++) model[g] = false;
                    break;
                default:
                    length = random.NextInt64(length / 2, length + granularity * 5000);
                    bitmap.Resize(length);
                    Array.Resize(ref model, (int)Align.Count(length, granularity));
                    break;
            }
        }

        Assert.Equal(model.LongCount(m => m), bitmap.Count);
        bool[] found = new bool[model.Length];
        for (long at = 0; bitmap.TryFindDirty(at, out long offset, out long bytes); at = offset + bytes)
        {
            for (long g = offset / granularity; g < Align.Count(offset + bytes, granularity); g++) found[g] = true;
        }

        Assert.Equal(model, found);
        AssertStoredFormHolds(bitmap, model);
    }

    [Fact]
    public void Taking_gives_every_marked_byte_once()
    {
        var bitmap = new DirtyBitmap(10 << 20, 65536);
        bitmap.Mark(100_000, 300_000);
        bitmap.Mark((10 << 20) - 1, 1);
        var taken = new List<(long, int)>();
        while (bitmap.TryTake(200_000, 131072, out long offset, out int bytes)) taken.Add((offset, bytes));
        Assert.Equal([(196608, 131072), (327680, 131072), (10 * 1048576 - 65536, 65536), (65536, 131072)], taken);
        Assert.False(bitmap.IsDirty);
    }

    [Fact]
    public void Bitmaps_of_different_granularity_merge()
    {
        var fine = new DirtyBitmap(1 << 20, 512);
        var coarse = new DirtyBitmap(1 << 20, 65536);
        fine.Mark(70_000, 1);
        coarse.Merge(fine);
        Assert.Equal(1, coarse.Count);
        Assert.True(coarse.IsMarked(65536));
        fine.Merge(coarse);
        Assert.Equal(128, fine.Count);
    }

    [Fact]
    public async Task Marks_made_at_once_are_all_counted()
    {
        var bitmap = new DirtyBitmap(64 << 20, 512);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(t => Task.Run(() =>
        {
            for (int i = t; i < 100_000; i += 3) bitmap.Mark(i * 512L, 512);
        })));
        Assert.Equal(100_000, bitmap.Count);
    }

    [Fact]
    public void Marking_takes_no_memory_once_a_page_exists()
    {
        var bitmap = new DirtyBitmap(1L << 40, 65536);
        bitmap.Mark(0, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++) bitmap.Mark(i * 65536L, 65536);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    private static void AssertStoredFormHolds(DirtyBitmap bitmap, bool[] model)
    {
        byte[] stored = new byte[Align.Up(Align.Count(model.Length, 8), 8)];
        bitmap.CopyTo(0, stored);
        for (int i = 0; i < model.Length; i++) Assert.Equal(model[i], (stored[i / 8] >> (i % 8) & 1) != 0);
        var copy = new DirtyBitmap(bitmap.Length, bitmap.Granularity);
        copy.MarkFrom(0, stored);
        Assert.Equal(bitmap.Count, copy.Count);
    }
}
