using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>What a sector holds: zeros, or bytes that tell who wrote them and where they belong.</summary>
internal static class SectorValue
{
    public const int Bytes = 512;

    /// <summary>Reads as zeros.</summary>
    public const int Zero = 0;

    /// <summary>What an image of the chain below holds, the lowest first.</summary>
    public static int Backing(int layer) => -1 - layer;

    private const int Foreign = int.MinValue;

    /// <summary>Fills sectors with a value. Every third value does not compress.</summary>
    public static void Fill(Span<byte> bytes, int firstSector, int value)
    {
        for (int i = 0; i < bytes.Length / Bytes; i++) FillOne(bytes.Slice(i * Bytes, Bytes), firstSector + i, value);
    }

    /// <summary>The value a sector holds; another than any that was written where its bytes are mixed or from elsewhere.</summary>
    public static int Read(ReadOnlySpan<byte> bytes, int sector)
    {
        int value = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        Span<byte> expected = stackalloc byte[Bytes];
        FillOne(expected, sector, value);
        return bytes.SequenceEqual(expected) ? value : Foreign;
    }

    private static void FillOne(Span<byte> bytes, int sector, int value)
    {
        if (value == Zero)
        {
            bytes.Clear();
            return;
        }

        Span<uint> words = MemoryMarshal.Cast<byte, uint>(bytes);
        uint state = (uint)(value * 2654435761L + sector);
        for (int i = 0; i < words.Length; i++)
        {
            if (value % 3 == 0) state = state * 1664525 + 1013904223;
            words[i] = state;
        }

        BinaryPrimitives.WriteInt32LittleEndian(bytes, value);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[4..], sector);
    }
}
