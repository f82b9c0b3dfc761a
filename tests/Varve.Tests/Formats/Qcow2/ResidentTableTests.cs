using System.Buffers.Binary;
using Varve.Formats.Qcow2;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>A table whose last entries are zero and take no memory is used like any other.</summary>
public class ResidentTableTests
{
    private const int EntriesPerSector = 64;

    [Theory]
    [InlineData(1, 0)]
    [InlineData(8192, 0)]
    [InlineData(8192, 1)]
    [InlineData(8192, 8192)]
    public void It_does_what_an_array_does(int count, int used)
    {
        var random = new Random(count + used);
        var entries = new ulong[count];
        for (int i = 0; i < used; i++) entries[i] = (ulong)random.NextInt64(1, long.MaxValue);
        ResidentTable table = ResidentTable.FromDisk(65536, OnDisk(entries), count);
        Assert.False(table.IsDirty);

        for (int step = 0; step < 50; step++)
        {
            int index = random.Next(count);
            entries[index] = table[index] = random.Next(3) == 0 ? 0 : (ulong)random.NextInt64();
        }

        Assert.Equal(count, table.Count);
        for (int i = 0; i < count; i++) Assert.Equal(entries[i], table[i]);
        byte[] whole = new byte[count * 8];
        table.CopyTo(whole);
        Assert.Equal(OnDisk(entries), whole);
    }

    [Fact]
    public void An_entry_behind_the_last_one_used_is_written_with_the_zeros_around_it()
    {
        var entries = new ulong[8192];
        entries[0] = 7;
        ResidentTable table = ResidentTable.FromDisk(65536, OnDisk(entries), entries.Length);
        table[1000] = 9;
        List<TableWrite> writes = [];
        table.TakeDirty(writes);

        TableWrite write = Assert.Single(writes);
        Assert.Equal(65536 + (1000 / EntriesPerSector * 512), write.Host);
        entries[1000] = 9;
        Assert.Equal(OnDisk(entries).AsSpan(1000 / EntriesPerSector * 512, 512), write.Data.Span);
        Assert.False(table.IsDirty);
        write.Data.Dispose();
    }

    [Fact]
    public void The_end_is_where_the_disk_has_it()
    {
        ResidentTable table = ResidentTable.FromDisk(65536, new byte[128 * 8], 128);
        Assert.Equal(0UL, table[127]);
        Assert.Throws<ArgumentOutOfRangeException>(() => table[128]);
        Assert.Throws<ArgumentOutOfRangeException>(() => table[128] = 1);
        ResidentTable moved = table.MovedTo(0, 8);
        Assert.Equal(8, moved.Count);
        Assert.Equal(0UL, moved[7]);
        Assert.Throws<ArgumentOutOfRangeException>(() => moved[8]);
    }

    [Fact]
    public void Zeros_at_the_end_take_no_memory()
    {
        var entries = new ulong[8192];
        entries[3] = 7;
        byte[] disk = OnDisk(entries);
        long before = GC.GetAllocatedBytesForCurrentThread();
        ResidentTable table = ResidentTable.FromDisk(65536, disk, entries.Length);
        Assert.True(GC.GetAllocatedBytesForCurrentThread() - before < 1024);
        Assert.Equal(7UL, table[3]);
    }

    private static byte[] OnDisk(ulong[] entries)
    {
        byte[] bytes = new byte[entries.Length * 8];
        for (int i = 0; i < entries.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(i * 8), entries[i]);
        return bytes;
    }
}
