using System.Buffers.Binary;
using System.Text;

namespace Varve.Inspection;

/// <summary>What a VMDK image refers to: its descriptor, a text, names extents and a parent. The format itself is not supported.</summary>
internal static class VmdkInspection
{
    private const int MaxDescriptor = 64 << 10, SectorSize = 512, DescriptorSectorAt = 28, DescriptorSectorsAt = 36;

    /// <summary>Reports every file that the descriptor names.</summary>
    public static void FindExtents(ReadOnlySpan<byte> head, InspectionSource source, InspectionFindings findings)
    {
        long offset = 0;
        if (head.StartsWith("KDMV"u8))
        {
            if (head.Length < DescriptorSectorsAt + 8) return;
            ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(head[DescriptorSectorAt..]);
            if (sector == 0) return;   // no descriptor of its own: an extent of another image
            if (sector >= (ulong)source.Length / SectorSize)
            {
                findings.Suspicious("descriptor-outside-file", $"the descriptor at sector {sector} lies outside the file");
                return;
            }

            offset = (long)sector * SectorSize;
        }
        else if (!head.StartsWith("#"u8))
        {
            return;
        }

        byte[] bytes = new byte[Math.Min(MaxDescriptor, source.Length - offset)];
        if (!source.TryRead(offset, bytes)) return;
        foreach (string line in Encoding.UTF8.GetString(bytes).Split('\0')[0].Split('\n')) Read(line.Trim(), findings);
    }

    /// <summary>A line such as <c>RW 4096 FLAT "name" 0</c> or <c>parentFileNameHint="name"</c>.</summary>
    private static void Read(string line, InspectionFindings findings)
    {
        int quote = line.IndexOf('"', StringComparison.Ordinal);
        if (quote < 0) return;
        int end = line.IndexOf('"', quote + 1);
        string name = end < 0 ? line[(quote + 1)..] : line[(quote + 1)..end], keyword = line[..quote].TrimEnd();
        if (keyword.StartsWith("parentFileNameHint", StringComparison.Ordinal)) findings.Reference("backing", name, "vmdk");
        if (keyword.StartsWith("RW ", StringComparison.Ordinal)
            || keyword.StartsWith("RDONLY ", StringComparison.Ordinal)
            || keyword.StartsWith("NOACCESS ", StringComparison.Ordinal))
        {
            findings.Reference("extent", name, null);
        }
    }
}
