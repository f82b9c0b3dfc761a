using System.Text;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>The first cluster of an image, taken apart: fixed header, extensions, backing file name.</summary>
internal sealed class HeaderCluster
{
    private HeaderCluster(byte[] bytes, Qcow2Header header, List<HeaderExtension> extensions, int areaEnd)
    {
        Bytes = bytes;
        Header = header;
        Extensions = extensions;
        AreaEnd = areaEnd;
    }

    /// <summary>The cluster as it was read.</summary>
    public byte[] Bytes { get; }

    public Qcow2Header Header { get; }

    /// <summary>The extensions in the order on disk, unknown ones included, without the end marker.</summary>
    public IReadOnlyList<HeaderExtension> Extensions { get; }

    /// <summary>The byte behind the extensions and their end marker.</summary>
    public int AreaEnd { get; }

    /// <summary>The recorded backing file name, verbatim; null when there is none.</summary>
    public string? BackingFile => Header.BackingFileSize == 0 ? null : Encoding.UTF8.GetString(BackingFileBytes.Span);

    /// <summary>The bytes of the name; empty when there is none.</summary>
    public ReadOnlyMemory<byte> BackingFileBytes => Bytes.AsMemory((int)Header.BackingFile.Value, Header.BackingFileSize);

    /// <summary>The recorded backing format; null when there is none.</summary>
    public string? BackingFormat => Find(HeaderExtension.BackingFormat) is { } format ? Encoding.UTF8.GetString(format.Data.Span) : null;

    /// <summary>The recorded name of the data file; null when there is none.</summary>
    public string? DataFile => Find(HeaderExtension.DataFileName) is { } name ? Encoding.UTF8.GetString(name.Data.Span) : null;

    /// <summary>The first extension of a type; null when there is none.</summary>
    public HeaderExtension? Find(uint type)
    {
        foreach (HeaderExtension extension in Extensions)
        {
            if (extension.Type == type) return extension;
        }

        return null;
    }

    /// <summary>Takes a header cluster apart.</summary>
    /// <param name="bytes">The whole first cluster; zeros where the file is shorter.</param>
    /// <param name="cluster">The result, when null is returned.</param>
    /// <returns>Null, or why it cannot be read.</returns>
    public static FormatError? TryRead(byte[] bytes, out HeaderCluster? cluster)
    {
        cluster = null;
        if (Qcow2Header.TryRead(bytes, out Qcow2Header header) is { } wrong) return wrong;
        if (header.BackingFileSize > Math.Min(Qcow2Header.MaxBackingFileSize, header.ClusterSize - header.BackingFile.Value))
        {
            return FormatError.Invalid("Backing file name too long");
        }

        int end = header.BackingFile.IsNone ? header.ClusterSize : (int)header.BackingFile.Value;
        FormatError? error = HeaderExtension.TryReadAll(
            bytes, header.HeaderLength, Math.Max(end, header.HeaderLength), out List<HeaderExtension> extensions, out int areaEnd);
        if (error is not null) return error;
        cluster = new HeaderCluster(bytes, header, extensions, areaEnd);
        return null;
    }
}
