using System.Buffers.Binary;
using System.Text;

namespace Varve.LoadBench;

/// <summary>Images to work on. The same in every run.</summary>
internal static class SourceImage
{
    private const int Mebibyte = 1 << 20;

    /// <summary>Random data in half of the file, in extents of 64 KiB to 4 MiB; holes between them.</summary>
    public static void WriteRandom(string path, long mebibytes)
    {
        var random = new Random(1);
        byte[] extent = new byte[4 * Mebibyte];
        using FileStream file = File.Create(path);
        file.SetLength(mebibytes * Mebibyte);
        for (long at = 0; at < file.Length;)
        {
            int length = (int)Math.Min(random.Next(1, 65) * 65536, file.Length - at);
            random.NextBytes(extent.AsSpan(0, length));
            file.Position = at;
            file.Write(extent.AsSpan(0, length));
            at += 2 * length;
        }
    }

    /// <summary>Words in random order, which compress to about a third.</summary>
    public static void WriteText(string path, long mebibytes)
    {
        var random = new Random(2);
        byte[][] words = [.. Enumerable.Range(0, 4096).Select(_ => Encoding.ASCII.GetBytes(string.Concat(Enumerable.Range(0, random.Next(2, 10)).Select(_ => (char)random.Next('a', 'z'))) + " "))];
        byte[] block = new byte[Mebibyte];
        using FileStream file = File.Create(path);
        for (long i = 0; i < mebibytes; i++)
        {
            for (int at = 0; at < block.Length;)
            {
                byte[] word = words[random.Next(words.Length)];
                int length = Math.Min(word.Length, block.Length - at);
                word.AsSpan(0, length).CopyTo(block.AsSpan(at));
                at += length;
            }

            file.Write(block);
        }
    }

    /// <summary>A qcow2 image all of whose clusters are allocated, in random order; nothing is in them.</summary>
    public static async Task WriteFragmentedAsync(string path, int gibibytes)
    {
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", path, $"{gibibytes}G").ConfigureAwait(false);
        using FileStream file = File.Open(path, FileMode.Open);
        byte[] header = new byte[72];
        file.ReadExactly(header);
        byte[] l1 = new byte[8 * BinaryPrimitives.ReadInt32BigEndian(header.AsSpan(36))];
        ReadAt(BinaryPrimitives.ReadInt64BigEndian(header.AsSpan(40)), l1);

        const long OffsetMask = 0x00ff_ffff_ffff_fe00;
        const int TableSize = 65536;
        long[] tables = [.. Enumerable.Range(0, l1.Length / 8).Select(i => BinaryPrimitives.ReadInt64BigEndian(l1.AsSpan(8 * i)) & OffsetMask).Where(o => o != 0)];
        byte[] entries = new byte[tables.Length * TableSize];
        for (int i = 0; i < tables.Length; i++) ReadAt(tables[i], entries.AsSpan(i * TableSize, TableSize));
        ulong[] shuffled = [.. Enumerable.Range(0, entries.Length / 8).Select(i => BinaryPrimitives.ReadUInt64BigEndian(entries.AsSpan(8 * i))).Where(e => e != 0)];
        new Random(3).Shuffle(shuffled);
        for (int i = 0; i < shuffled.Length; i++) BinaryPrimitives.WriteUInt64BigEndian(entries.AsSpan(8 * i), shuffled[i]);
        for (int i = 0; i < tables.Length; i++)
        {
            file.Position = tables[i];
            file.Write(entries.AsSpan(i * TableSize, TableSize));
        }

        void ReadAt(long offset, Span<byte> buffer)
        {
            file.Position = offset;
            file.ReadExactly(buffer);
        }
    }
}
