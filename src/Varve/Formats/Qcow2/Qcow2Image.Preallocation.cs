using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>Images whose clusters are set aside in the tables but have no space yet: their holes read as zeros.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>Clusters that are looked at to find out; more than that are not worth it.</summary>
    private const long MaxExamined = 1 << 24;

    private bool? _isMetadataPreallocated;

    /// <summary>Data that lies in a hole of the file reads as zeros. Only images with many such holes are worth asking the file each time.</summary>
    private async ValueTask<BlockStatus> RefineAsync(BlockStatus status, CancellationToken cancellationToken)
    {
        if (!status.IsData || !status.HasOffset || HasDataFile) return status;
        if (!(_isMetadataPreallocated ??= await DetectPreallocationAsync(cancellationToken).ConfigureAwait(false))) return status;
        BlockStatus below = await _file.Node.GetStatusAsync(status.HostOffset, status.Length, precise: true, cancellationToken).ConfigureAwait(false);
        if (below.Length == 0) return status with { Flags = status.Flags | BlockStatusFlags.Zero };      // behind the end of the file
        BlockStatusFlags zero = below.IsZero ? BlockStatusFlags.Zero : BlockStatusFlags.None;
        return status with { Flags = status.Flags | zero, Length = Math.Min(status.Length, below.Length) };
    }

    /// <summary>Whether more clusters are counted than the file has space for: a tenth more, and two at least.</summary>
    private async ValueTask<bool> DetectPreallocationAsync(CancellationToken cancellationToken)
    {
        if (await _file.Node.GetAllocatedSizeAsync(cancellationToken).ConfigureAwait(false) is not { } allocated || allocated >= _file.Node.Length) return false;
        long space = allocated >> _header.ClusterBits, enough = Math.Max(space * 10 / 9, space + 2), counted = 0;
        long clusters = Align.Count(_file.Node.Length, ClusterSize);
        if (clusters < enough) return false;
        try
        {
            RefcountFile refcounts = await RefcountFile.ReadAsync(_file.Node, _header, cancellationToken).ConfigureAwait(false);
            for (long cluster = 0; cluster < Math.Min(clusters, MaxExamined); cluster++)
            {
                if (await refcounts.GetAsync(cluster, cancellationToken).ConfigureAwait(false) > 0 && ++counted >= enough) return true;
            }
        }
        catch (BlockException)
        {
            // Refcounts that cannot be read are for the check to report; the status is right without them.
        }

        return false;
    }
}
