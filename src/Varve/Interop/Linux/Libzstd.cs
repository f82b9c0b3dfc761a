using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>What zstd clusters need of the system's zstd: <see href="https://facebook.github.io/zstd/doc/api_manual_latest.html"/>. Loaded with
/// the first of them; not every system has it.</summary>
internal static unsafe partial class Libzstd
{
    private const string Library = "libzstd.so.1";

    // ZSTD_ResetDirective
    private const int SessionOnly = 1;

    private static readonly Lazy<bool> s_isAvailable = new(() => NativeLibrary.TryLoad(Library, out _));

    /// <summary>Whether this system has the library.</summary>
    public static bool IsAvailable => s_isAvailable.Value;

    /// <summary>The state of one thread that compresses.</summary>
    public sealed class Compression() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
    {
        protected override bool ReleaseHandle() => FreeCompression(handle) == 0;
    }

    /// <summary>The state of one thread that decompresses.</summary>
    public sealed class Decompression() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
    {
        protected override bool ReleaseHandle() => FreeDecompression(handle) == 0;
    }

    /// <summary>Compresses in one go, as one frame.</summary>
    /// <returns>Bytes written; null when they do not fit, or there was no memory.</returns>
    public static int? Compress(Compression state, ReadOnlySpan<byte> source, Span<byte> destination, int level)
    {
        fixed (byte* input = source, output = destination)
        {
            nuint written = Compress(state, output, (nuint)destination.Length, input, (nuint)source.Length, level);
            return IsError(written) != 0 ? null : (int)written;
        }
    }

    /// <summary>Forgets what was not decompressed to its end.</summary>
    public static void Reset(Decompression state) => _ = Reset(state, SessionOnly);

    /// <summary>Decompresses as far as input and room go.</summary>
    /// <returns>False when the input is no zstd.</returns>
    public static bool Decompress(Decompression state, ReadOnlySpan<byte> source, Span<byte> destination, out int consumed, out int written)
    {
        fixed (byte* input = source, output = destination)
        {
            var from = new InBuffer { Bytes = input, Size = (nuint)source.Length };
            var to = new OutBuffer { Bytes = output, Size = (nuint)destination.Length };
            nuint result = Decompress(state, &to, &from);
            (consumed, written) = ((int)from.Position, (int)to.Position);
            return IsError(result) == 0;
        }
    }

    [LibraryImport(Library, EntryPoint = "ZSTD_createCCtx")]
    public static partial Compression CreateCompression();

    [LibraryImport(Library, EntryPoint = "ZSTD_createDCtx")]
    public static partial Decompression CreateDecompression();

    [LibraryImport(Library, EntryPoint = "ZSTD_freeCCtx")]
    private static partial nuint FreeCompression(nint state);

    [LibraryImport(Library, EntryPoint = "ZSTD_freeDCtx")]
    private static partial nuint FreeDecompression(nint state);

    [LibraryImport(Library, EntryPoint = "ZSTD_isError")]
    private static partial uint IsError(nuint result);

    [LibraryImport(Library, EntryPoint = "ZSTD_compressCCtx")]
    private static partial nuint Compress(Compression state, byte* destination, nuint capacity, byte* source, nuint size, int level);

    [LibraryImport(Library, EntryPoint = "ZSTD_DCtx_reset")]
    private static partial nuint Reset(Decompression state, int directive);

    [LibraryImport(Library, EntryPoint = "ZSTD_decompressStream")]
    private static partial nuint Decompress(Decompression state, OutBuffer* output, InBuffer* input);

    /// <summary>ZSTD_inBuffer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct InBuffer
    {
        public byte* Bytes;
        public nuint Size, Position;
    }

    /// <summary>ZSTD_outBuffer.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct OutBuffer
    {
        public byte* Bytes;
        public nuint Size, Position;
    }
}
