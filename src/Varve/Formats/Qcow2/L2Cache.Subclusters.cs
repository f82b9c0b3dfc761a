using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>Lookups in images with extended L2 entries.</content>
internal sealed partial class L2Cache
{
    /// <summary>The longest run of subclusters of one kind, across clusters where these follow each other in the file.</summary>
    private Mapping LookupSubclusters(TableSlice slice, long offset, long maxLength)
    {
        long clusterSize = 1L << _clusterBits, inCluster = offset & (clusterSize - 1);
        int index = IndexInSlice(offset), subcluster = (int)(inCluster >> _subclusterBits);
        ExtendedL2Entry first = Get(slice, index);
        MappingKind kind = KindOf(first, subcluster);
        if (kind is MappingKind.Corrupt or MappingKind.Invalid) return new Mapping(kind, 1, 0, IsCopied: false, first.Descriptor);
        if (kind == MappingKind.Compressed)
        {
            return new Mapping(kind, Math.Min(clusterSize - inCluster, maxLength), 0, IsCopied: false, first.Descriptor);
        }

        int end = subcluster + first.Subclusters.RunFrom(subcluster);
        long length = ((long)end << _subclusterBits) - inCluster;
        for (int next = index + 1; end == SubclusterMap.Count && length < maxLength && next < ClustersPerSlice; next++)
        {
            ExtendedL2Entry entry = Get(slice, next);
            if (KindOf(entry, 0) != kind || entry.IsCopied != first.IsCopied || !Follows(first, entry, next - index)) break;
            end = entry.Subclusters.RunFrom(0);
            length += (long)end << _subclusterBits;
        }

        long host = first.HasHost ? first.Host.Value + inCluster : 0;
        return new Mapping(kind, Math.Min(length, maxLength), host, first.IsCopied, first.Descriptor);
    }

    private bool Follows(ExtendedL2Entry first, ExtendedL2Entry entry, int distance)
        => first.HasHost ? entry.Host.Value == first.Host.Value + ((long)distance << _clusterBits) : !entry.HasHost;

    private MappingKind KindOf(ExtendedL2Entry entry, int subcluster)
    {
        if (entry.IsInvalid) return MappingKind.Invalid;
        return entry.HasHost && !Align.Is(entry.Host.Value, 1L << _clusterBits) ? MappingKind.Corrupt : MappingOf(entry.KindOf(subcluster));
    }
}
