using System.Runtime.InteropServices;

namespace Varve.Interop.Runtime;

/// <summary>The runtime's zlib: <c>DeflateStream</c> offers no window size, and a reader of qcow2 may have a window of 4 KiB only.</summary>
internal static unsafe partial class CompressionNative
{
    private const string Library = "System.IO.Compression.Native";
    private const int Ok = 0, StreamEnd = 1, Finish = 4, Deflated = 8, DefaultLevel = -1, MemoryLevel = 9, DefaultStrategy = 0;

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
            // zlib takes a negative number for: no header, no checksum.
            if (DeflateInit2(&stream, DefaultLevel, Deflated, -windowBits, MemoryLevel, DefaultStrategy) != Ok) return null;
            stream.NextIn = input;
            stream.AvailableIn = (uint)source.Length;
            stream.NextOut = output;
            stream.AvailableOut = (uint)destination.Length;
            int result = Deflate(&stream, Finish);
            int written = destination.Length - (int)stream.AvailableOut;
            _ = DeflateEnd(&stream);
            return result == StreamEnd ? written : null;
        }
    }

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateInit2_")]
    private static partial int DeflateInit2(ZlibStream* stream, int level, int method, int windowBits, int memoryLevel, int strategy);

    [LibraryImport(Library, EntryPoint = "CompressionNative_Deflate")]
    private static partial int Deflate(ZlibStream* stream, int flush);

    [LibraryImport(Library, EntryPoint = "CompressionNative_DeflateEnd")]
    private static partial int DeflateEnd(ZlibStream* stream);
}
