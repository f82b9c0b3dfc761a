using System.Buffers.Binary;

namespace Varve.Inspection;

/// <summary>The bytes of an image under inspection, and the bound on how many of them are read.</summary>
/// <param name="length">Bytes of the file.</param>
/// <param name="read">Fills a buffer that lies inside the file.</param>
/// <param name="limit">The bound.</param>
internal sealed class InspectionSource(long length, InspectionSource.Reader read, long limit)
{
    /// <summary>Fills <paramref name="buffer"/> with the bytes at <paramref name="offset"/>.</summary>
    internal delegate void Reader(Span<byte> buffer, long offset);

    public long Length => length;

    /// <summary>Bytes read so far.</summary>
    public long BytesRead { get; private set; }

    /// <summary>Whether something was not read because of the bound.</summary>
    public bool IsExhausted { get; private set; }

    /// <summary>Reads; what lies past the end of the file is zeros.</summary>
    /// <returns>False, with zeros, when the bound does not allow it.</returns>
    public bool TryRead(long offset, Span<byte> buffer)
    {
        buffer.Clear();
        if (offset < 0 || offset >= length) return true;
        Span<byte> inside = buffer[..(int)Math.Min(buffer.Length, length - offset)];
        if (inside.Length > limit - BytesRead)
        {
            IsExhausted = true;
            return false;
        }

        BytesRead += inside.Length;
        read(inside, offset);
        return true;
    }

    /// <summary>Reads as much of a table of big-endian words as lies in the file and within the bound and the share given.</summary>
    /// <param name="offset">Where it begins.</param>
    /// <param name="count">Its entries.</param>
    /// <param name="share">The most bytes that this table may take.</param>
    public ulong[] ReadTable(long offset, long count, long share)
    {
        if (offset < 0 || offset >= length || count <= 0) return [];
        long inFile = Math.Min(count, Align.Count(length - offset, 8));
        long allowed = Math.Min(inFile, Math.Min(share, limit - BytesRead) / 8);
        if (allowed < inFile) IsExhausted = true;
        if (allowed <= 0) return [];
        byte[] bytes = new byte[allowed * 8];
        TryRead(offset, bytes);
        var table = new ulong[allowed];
        for (int i = 0; i < table.Length; i++) table[i] = BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(i * 8));
        return table;
    }
}
