using Varve.Formats.Qcow2.Metadata;
using Varve.Inspection;

namespace Varve.Formats.Qcow2;

/// <summary>Looks at a qcow2 image that nobody vouches for: what it refers to, what opening would refuse, what contradicts itself.</summary>
/// <remarks>Nothing here decides what opening does; the driver has its own checks and this uses the same readers.</remarks>
internal sealed partial class Qcow2Inspection(InspectionSource source, InspectionFindings findings, string? path)
{
    private const int KnownHeaderLength = Qcow2Header.LengthWithCompressionType;
    private static readonly string[] s_groups = ["incompatible", "compatible", "autoclear"];
    private readonly StructureMap _map = new();
    private Qcow2Header _header;

    private int ClusterSize => _header.ClusterSize;

    private bool Has(Qcow2Incompatible feature) => (_header.Incompatible & feature) != 0;

    /// <summary>Reports, and returns the bytes of the virtual disk; null where the header cannot be read.</summary>
    public long? Inspect()
    {
        byte[] head = new byte[KnownHeaderLength];
        source.TryRead(0, head);
        if (Qcow2Header.TryRead(head.AsSpan(0, (int)Math.Min(head.Length, source.Length)), out _header) is { } wrong)
        {
            findings.Refused("header", wrong.Message);
            return null;
        }

        byte[] cluster = new byte[ClusterSize];
        source.TryRead(0, cluster);
        if (HeaderCluster.TryRead(cluster, out HeaderCluster? read) is { } wrongCluster)
        {
            findings.Refused("header-cluster", wrongCluster.Message);
            return _header.VirtualSize;
        }

        InspectHeader(cluster);
        InspectFeatures(read!);
        InspectReferences(read!);
        InspectExtensions(read!);
        if (_header.CheckLimits() is { } limit)
        {
            findings.Refused("limits", limit.Message);
            return _header.VirtualSize;
        }

        if (_header.RefcountTableClusters == 0) findings.Refused("no-refcount-table", "Image does not contain a reference count table");
        InspectMetadata(read!);
        return _header.VirtualSize;
    }

    private void InspectHeader(ReadOnlySpan<byte> cluster)
    {
        if (_header.Version == 3 && !Align.Is(_header.HeaderLength, 8))
        {
            findings.Suspicious("header-length", $"the header has {_header.HeaderLength} bytes, which is no multiple of 8");
        }

        if (_header.HeaderLength > KnownHeaderLength && cluster[KnownHeaderLength.._header.HeaderLength].ContainsAnyExcept((byte)0))
        {
            findings.Note("header-fields", $"the header has fields beyond byte {KnownHeaderLength} that are not known");
        }

        if (_header.BackingFileSize > 0 && _header.BackingFile.Value < _header.HeaderLength)
        {
            findings.Suspicious("backing-name-in-header", $"the backing file name begins at {_header.BackingFile}, inside the header");
        }
    }

    private void InspectFeatures(HeaderCluster cluster)
    {
        ulong[] set = [(ulong)_header.Incompatible, (ulong)_header.Compatible, (ulong)_header.Autoclear];
        ReadOnlySpan<byte> names = cluster.Find(HeaderExtension.FeatureNameTable) is { } table ? table.Data.Span : default;
        for (int group = 0; group < set.Length; group++)
        {
            for (int bit = 0; bit < 64; bit++)
            {
                if ((set[group] & (1UL << bit)) == 0) continue;
                string? known = FeatureNameTable.NameOf(group, bit);
                string name = known ?? FeatureNameTable.Find(names, group, bit) ?? $"bit {bit}";
                findings.Feature(s_groups[group], bit, name, known is not null);
                if (known is not null) continue;
                if (group == 0) findings.Refused("unknown-feature", $"incompatible feature '{name}' (bit {bit}) is not known");
                else findings.Note($"unknown-{s_groups[group]}-feature", $"{s_groups[group]} feature '{name}' (bit {bit}) is not known");
            }
        }

        if (names.Length % FeatureNameTable.EntrySize != 0)
        {
            findings.Suspicious("feature-names", $"the feature name table has {names.Length} bytes, no multiple of {FeatureNameTable.EntrySize}");
        }

        if (Has(Qcow2Incompatible.Corrupt)) findings.Suspicious("corrupt-bit", "the image is marked corrupt");
        if (Has(Qcow2Incompatible.Dirty)) findings.Note("dirty-bit", "the image was not closed: its reference counts will be rebuilt");
    }

    private void InspectReferences(HeaderCluster cluster)
    {
        if (cluster.BackingFile is { } backing)
        {
            findings.Reference("backing", backing, cluster.BackingFormat);
            if (cluster.BackingFormat is null) findings.Note("backing-format", "the format of the backing file is not recorded: it would be guessed");
            else if (!Graph.BlockDrivers.Default.All.Any(d => d.Name == cluster.BackingFormat && d.IsFormat))
            {
                findings.Suspicious("backing-format", $"the backing file's format '{cluster.BackingFormat}' is not one of the formats");
            }

            if (path is not null && Graph.FileNames.PrefixOf(backing) is null && IsSelf(backing)) findings.Suspicious("backing-loop", "names itself as its backing file");
        }

        string? dataFile = cluster.Find(HeaderExtension.DataFileName) is { } name ? System.Text.Encoding.UTF8.GetString(name.Data.Span) : null;
        if (Has(Qcow2Incompatible.DataFile)) findings.Reference("data-file", dataFile, "raw");
        else if (dataFile is not null) findings.Suspicious("data-file-unused", $"names the data file '{dataFile}', but says that it has none");
        else if ((_header.Autoclear & Qcow2Autoclear.RawExternalData) != 0) findings.Suspicious("data-file-unused", "says that its data file is raw, but has none");
    }

    private bool IsSelf(string backing)
    {
        string self = Path.GetFullPath(path!);
        return !backing.Contains('\0') && Path.GetFullPath(backing, Path.GetDirectoryName(self) ?? "/") == self;
    }

    private void InspectExtensions(HeaderCluster cluster)
    {
        foreach (HeaderExtension extension in cluster.Extensions)
        {
            if (extension.Type is not (HeaderExtension.BackingFormat or HeaderExtension.FeatureNameTable or HeaderExtension.Bitmaps
                or HeaderExtension.CryptoHeader or HeaderExtension.DataFileName))
            {
                findings.Note("unknown-extension", $"header extension 0x{extension.Type:x8} is not known");
            }
            else if (cluster.Extensions.Count(e => e.Type == extension.Type) > 1)
            {
                findings.Suspicious("extension-twice", $"header extension 0x{extension.Type:x8} is there more than once");
            }
        }
    }
}
