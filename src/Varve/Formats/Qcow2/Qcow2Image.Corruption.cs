using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>What happens when metadata contradicts itself.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>L1 and L2 entries hold host offsets below this.</summary>
    internal const long MaxHostOffset = 1L << 56;

    private int _corruptionsReported;
    private volatile bool _isUnusable;

    /// <summary>Whether a fatal corruption was found: every request fails from then on.</summary>
    internal bool IsUnusable => _isUnusable;

    /// <summary>A number as corruption reports print it: hexadecimal with 0x, but plain 0.</summary>
    internal static string Hex(long value) => value == 0 ? "0" : $"0x{value:x}";

    /// <summary>Tells the graph (QMP <c>BLOCK_IMAGE_CORRUPTED</c>) about a contradiction found in the metadata, once.</summary>
    /// <param name="isFatal">Going on would risk data: a writable image is marked corrupt, and fails every request from now on.</param>
    /// <param name="message">What contradicts what.</param>
    /// <param name="offset">The host range concerned; null when there is none.</param>
    /// <param name="length">Its bytes.</param>
    /// <returns>What the request that found it fails with.</returns>
    internal async ValueTask<BlockException> ReportCorruptionAsync(bool isFatal, string message, long? offset = null, long? length = null)
    {
        isFatal &= !IsReadOnly;
        var failure = new BlockException(BlockErrorKind.Corrupt, Errno.Text(Errno.EIO), new InvalidDataException(message)) { NodeName = NodeName, Offset = offset };
        int bit = isFatal ? 2 : 1;
        int before = Interlocked.Or(ref _corruptionsReported, bit | 1);
        if ((before & bit) != 0) return failure;
        string text = isFatal
            ? $"qcow2: Marking image as corrupt: {message}; further corruption events will be suppressed"
            : $"qcow2: Image is corrupt: {message}; further non-fatal corruption events will be suppressed";
        Graph.OnImageCorrupted(new ImageCorruption(this, message, text, offset, length, isFatal));
        if (isFatal) await MarkCorruptAsync().ConfigureAwait(false);
        return failure;
    }

    /// <summary>A write would have hit metadata.</summary>
    internal ValueTask<BlockException> ReportOverlapAsync(MetadataKind kind, long host, long length)
        => ReportCorruptionAsync(
            isFatal: true, $"Preventing invalid write on metadata (overlaps with {MetadataMap.NameOf(kind)})", host, length);

    private async ValueTask MarkCorruptAsync()
    {
        _isUnusable = true;
        if (_header.Version < 3) return;
        try
        {
            await UpdateHeaderAsync(h => h with { Incompatible = h.Incompatible | Qcow2Incompatible.Corrupt }, CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // The bit is a courtesy to whoever opens the image next. The request that found the corruption fails either way,
            // and no later write reaches the image.
        }
    }

    private static BlockException Unusable() => BlockException.FromErrno(Errno.ENOMEDIUM);
}
