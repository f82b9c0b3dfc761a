using System.Buffers.Binary;

namespace Varve.Fuzz;

/// <summary>Makes new inputs out of old ones.</summary>
internal sealed class Mutator(FuzzTarget target, Random random)
{
    private static readonly long[] s_interesting =
    [
        0, 1, -1, 2, 7, 8, 9, 16, 31, 32, 63, 64, 100, 127, 128, 255, 256, 511, 512, 513, 1023, 1024, 4095, 4096, 4097, 8192, 12288, 16384, 20480, 24576,
        65535, 65536, 1 << 20, 1 << 21, int.MaxValue, int.MinValue, uint.MaxValue, 1L << 32, 1L << 40, 1L << 55, 1L << 56, 1L << 62, long.MaxValue,
        long.MinValue, 0x00FF_FFFF_FFFF_FE00, unchecked((long)0x8000_0000_0000_1000), 0x4000_0000_0000_1000,
    ];

    /// <summary>A changed copy of <paramref name="parent"/>, now and then with a piece of <paramref name="other"/>.</summary>
    public byte[] Mutate(byte[] parent, byte[] other)
    {
        var bytes = new List<byte>(parent);
        for (int changes = 1 << random.Next(5); changes > 0; changes--) Change(bytes, other);
        if (bytes.Count > target.MaxLength) bytes.RemoveRange(target.MaxLength, bytes.Count - target.MaxLength);
        return [.. bytes];
    }

    private void Change(List<byte> bytes, byte[] other)
    {
        int kind = random.Next(target.HasFixedLayout ? 7 : 12);
        if (bytes.Count == 0) kind = 10;
        int at = bytes.Count == 0 ? 0 : random.Next(bytes.Count);
        switch (kind)
        {
            case 0: bytes[at] ^= (byte)(1 << random.Next(8)); break;
            case 1: bytes[at] = (byte)random.Next(256); break;
            case 2: bytes[at] = (byte)(bytes[at] + random.Next(-16, 17)); break;
            case 3 or 4: PutNumber(bytes, at); break;
            case 5: Overwrite(bytes, at, Piece(bytes)); break;
            case 6: Overwrite(bytes, at, target.Words.Count > 0 && random.Next(2) == 0 ? Word() : Piece(other)); break;
            case 7: bytes.RemoveRange(at, Math.Min(random.Next(1, 17), bytes.Count - at)); break;
            case 8: bytes.InsertRange(at, Piece(other)); break;
            case 9: bytes.InsertRange(at, Piece(bytes)); break;
            case 10: bytes.InsertRange(at, target.Words.Count > 0 ? Word() : Piece(other)); break;
            default: bytes.RemoveRange(at, bytes.Count - at); break;
        }
    }

    /// <summary>A number that limits are made of, in a field's size and at a field's place.</summary>
    private void PutNumber(List<byte> bytes, int at)
    {
        int size = 1 << random.Next(4);
        at -= at % size;
        if (at + size > bytes.Count) return;
        long value = s_interesting[random.Next(s_interesting.Length)] + (random.Next(4) == 0 ? random.Next(-2, 3) : 0);
        Span<byte> field = stackalloc byte[8];
        if (random.Next(8) == 0)
        {
            BinaryPrimitives.WriteInt64LittleEndian(field, value);
            field = field[..size];
        }
        else
        {
            BinaryPrimitives.WriteInt64BigEndian(field, value);
            field = field[(8 - size)..];
        }

        for (int i = 0; i < size; i++) bytes[at + i] = field[i];
    }

    private static void Overwrite(List<byte> bytes, int at, ReadOnlySpan<byte> piece)
    {
        for (int i = 0; i < piece.Length && at + i < bytes.Count; i++) bytes[at + i] = piece[i];
    }

    private byte[] Word() => target.Words[random.Next(target.Words.Count)];

    private byte[] Piece(IReadOnlyList<byte> from)
    {
        if (from.Count == 0) return [0];
        int start = random.Next(from.Count), length = Math.Min(1 << random.Next(7), from.Count - start);
        if (target.HasFixedLayout) start -= start % 8;
        return [.. Enumerable.Range(start, length).Select(i => from[i])];
    }
}
