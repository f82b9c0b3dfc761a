using System.Runtime.InteropServices;

namespace Varve.Interop.Runtime;

/// <summary>The runtime's zlib. <c>DeflateStream</c> offers no window size, and a reader of qcow2 may have a window of 4 KiB only; and it copies what it
/// inflates, and makes objects, for each cluster.</summary>
internal static unsafe partial class CompressionNative
{
    private const string Library = "System.IO.Compression.Native";
    private const int Ok = 0, StreamEnd = 1, BufferError = -5;
    private const int Finish = 4, Deflated = 8, DefaultLevel = -1, MemoryLevel = 9, DefaultStrategy = 0;

    /// <summary>zlib takes a negative number of bits for: no header, no checksum.</summary>
    private const int LargestRawWindow = -15;

    /// <summary>Compresses in one go, as raw deflate.</summary>
    /// <param name="source">All there is.</param>
    /// <param name="destination">Gets the stream.</param>
    /// <param name="windowBits">Matches reach back at most two to this many bytes.</param>
    /// <returns>Bytes written; null when they do not fit, or zlib found no memory for its state.</returns>
    internal static int? Deflate(ReadOnlySpan<byte> source, Span<byte> destination, int windowBits)
    {
        ZlibStream stream = default;
        fixed (byte* input = source, output = destination)
        {
            if (DeflateInit2(&stream, DefaultLevel, Deflated, -windowBits, MemoryLevel, DefaultStrategy) != Ok) return null;
            Give(ref stream, input, source.Length, output, destination.Length);
            int result = Deflate(&stream, Finish);
            int written = destination.Length - (int)stream.AvailableOut;
            _ = DeflateEnd(&stream);
            return result == StreamEnd ? written : null;
        }
    }

    /// <summary>Fills <paramref name="destination"/> from raw deflate, of which more may follow.</summary>
    /// <returns>False when the bytes do not give as much, or are no deflate.</returns>
    internal static bool Inflate(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        ZlibStream stream = default;
        fixed (byte* input = source, output = destination)
        {
            if (InflateInit2(&stream, LargestRawWindow) != Ok) return false;
            Give(ref stream, input, source.Length, output, destination.Length);
            int result = Inflate(&stream, Finish);
            bool isFull = stream.AvailableOut == 0;
            _ = InflateEnd(&stream);
            return isFull && result is (StreamEnd or BufferError or Ok);
        }
    }

    private static void Give(ref ZlibStream stream, byte* input, int inputLength, byte* output, int outputLength)
    {
        stream.NextIn = input;
        stream.AvailableIn = (uint)inputLength;
        stream.NextOut = output;
        stream.AvailableOut = (uint)outputLength;
    }

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateInit2_")]
    private static partial int DeflateInit2(ZlibStream* stream, int level, int method, int windowBits, int memoryLevel, int strategy);

    [LibraryImport(Library, EntryPoint = "CompressionNative_Deflate")]
    private static partial int Deflate(ZlibStream* stream, int flush);

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateEnd")]
    private static partial int DeflateEnd(ZlibStream* stream);

    [LibraryImport(Library, EntryPoint = "CompressionNative_InflateInit2_")]
    private static partial int InflateInit2(ZlibStream* stream, int windowBits);

    [LibraryImport(Library, EntryPoint = "CompressionNative_Inflate")]
    private static partial int Inflate(ZlibStream* stream, int flush);

    [LibraryImport(Library, EntryPoint = "CompressionNative_InflateEnd")]
    private static partial int InflateEnd(ZlibStream* stream);
}
