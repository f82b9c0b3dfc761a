using Varve.Interop.Linux;
using ZstdSharp;

namespace Varve.Formats.Qcow2;

/// <summary>zstd for one thread at a time. What is in a cluster may come from anybody: nothing about it is believed.</summary>
/// <remarks>The system's library is half as fast again as the managed one in both directions, and gets its security updates from the system;
/// the managed one serves where the system has none.</remarks>
internal abstract class Zstd : IDisposable
{
    /// <summary>The reference's: zstd's own default.</summary>
    private const int Level = 3;

    public static Zstd Create() => Libzstd.IsAvailable ? new SystemZstd() : new ManagedZstd();

    /// <summary>Compresses in one go.</summary>
    /// <returns>Bytes written; null when they do not fit.</returns>
    public abstract int? Compress(ReadOnlySpan<byte> source, Span<byte> destination);

    /// <summary>Fills <paramref name="destination"/>. What lies behind the frame that does is not looked at: clusters end somewhere in a sector.</summary>
    /// <returns>False when the bytes do not give as much, or are no zstd.</returns>
    public bool Decompress(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        Reset();
        while (!destination.IsEmpty)
        {
            if (!Decompress(source, destination, out int consumed, out int written)) return false;
            if (consumed == 0 && written == 0) return false;   // the frame ended early, or more input would be needed
            source = source[consumed..];
            destination = destination[written..];
        }

        return true;
    }

    public abstract void Dispose();

    /// <summary>The next bytes begin a frame.</summary>
    protected abstract void Reset();

    /// <summary>Decompresses as far as input and room go.</summary>
    /// <returns>False when the bytes are no zstd.</returns>
    protected abstract bool Decompress(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed, out int written);

    private sealed class SystemZstd : Zstd
    {
        private Libzstd.Compression? _compression;
        private Libzstd.Decompression? _decompression;

        public override int? Compress(ReadOnlySpan<byte> source, Span<byte> destination)
            => Libzstd.Compress(_compression ??= Libzstd.CreateCompression(), source, destination, Level);

        protected override void Reset() => Libzstd.Reset(_decompression ??= Libzstd.CreateDecompression());

        protected override bool Decompress(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed, out int written)
            => Libzstd.Decompress(_decompression!, source, destination, out consumed, out written);

        public override void Dispose()
        {
            _compression?.Dispose();
            _decompression?.Dispose();
        }
    }

    /// <summary>For systems without the library; tests compare the two.</summary>
    internal sealed class ManagedZstd : Zstd
    {
        private Compressor? _compressor;
        private Decompressor? _decompressor;

        public override int? Compress(ReadOnlySpan<byte> source, Span<byte> destination)
            => (_compressor ??= new Compressor(Level)).TryWrap(source, destination, out int length) ? length : null;

        protected override void Reset() => (_decompressor ??= new Decompressor()).ResetStream();

        protected override bool Decompress(ReadOnlySpan<byte> source, Span<byte> destination, out int consumed, out int written)
        {
            try
            {
                _decompressor!.UnwrapStream(source, destination, out consumed, out written);
                return true;
            }
            catch (ZstdException)
            {
                (consumed, written) = (0, 0);
                return false;
            }
        }

        public override void Dispose()
        {
            _compressor?.Dispose();
            _decompressor?.Dispose();
        }
    }
}
