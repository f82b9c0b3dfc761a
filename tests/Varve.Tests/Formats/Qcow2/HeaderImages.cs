using System.Buffers.Binary;
using System.Text;
using Varve.Formats.Qcow2.Metadata;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Header clusters in one line.</summary>
internal static class HeaderImages
{
    public static byte[] Build(
        int clusterBits = 16, int version = 3, string? name = null, string? format = null, bool withTable = true,
        IEnumerable<HeaderExtension>? more = null, int headerLength = 0)
    {
        byte[] bytes = new byte[1 << clusterBits];
        if (headerLength == 0) headerLength = version == 2 ? Qcow2Header.V2Length : Qcow2Header.LengthWithCompressionType;
        int offset = headerLength;
        var extensions = new List<HeaderExtension>();
        if (format is not null) extensions.Add(new(HeaderExtension.BackingFormat, Encoding.UTF8.GetBytes(format)));
        if (withTable && FeatureNameTable.ForNewImage(version, 1 << 16) is { } table) extensions.Add(table);
        extensions.AddRange(more ?? []);
        foreach (HeaderExtension extension in extensions) offset += extension.WriteTo(bytes.AsSpan(offset));
        offset += 8;
        byte[] nameBytes = Encoding.UTF8.GetBytes(name ?? "");
        nameBytes.CopyTo(bytes, offset);
        new Qcow2Header
        {
            Version = version,
            ClusterBits = clusterBits,
            VirtualSize = 1 << 20,
            BackingFile = name is null ? default : new(offset),
            BackingFileSize = nameBytes.Length,
            L1Size = 1,
            L1Table = new(3L << clusterBits),
            RefcountTable = new(1L << clusterBits),
            RefcountTableClusters = 1,
            RefcountOrder = 4,
            HeaderLength = headerLength,
        }.WriteTo(bytes);
        return bytes;
    }

    public static HeaderExtension Unknown(uint type, int size)
    {
        byte[] data = new byte[size];
        for (int i = 0; i < size; i++) data[i] = (byte)(type + i);
        return new(type, data);
    }

    public static HeaderCluster Parse(byte[] bytes)
    {
        Assert.Null(HeaderCluster.TryRead(bytes, out HeaderCluster? cluster));
        return cluster!;
    }
}
