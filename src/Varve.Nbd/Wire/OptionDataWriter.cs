using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace Varve.Nbd.Wire;

/// <summary>Writes the data of a client's options.</summary>
internal static class OptionDataWriter
{
    /// <summary>Data of INFO and GO: see <see cref="InfoRequest"/>.</summary>
    public static byte[] Info(string export, params ReadOnlySpan<InfoType> wanted)
    {
        var data = new ArrayBufferWriter<byte>();
        Add(data, export);
        BinaryPrimitives.WriteUInt16BigEndian(data.GetSpan(2), (ushort)wanted.Length);
        data.Advance(2);
        foreach (InfoType type in wanted)
        {
            BinaryPrimitives.WriteUInt16BigEndian(data.GetSpan(2), (ushort)type);
            data.Advance(2);
        }

        return data.WrittenSpan.ToArray();
    }

    /// <summary>Data of LIST_META_CONTEXT and SET_META_CONTEXT: see <see cref="MetaContextRequest"/>.</summary>
    public static byte[] Contexts(string export, params ReadOnlySpan<string> queries)
    {
        var data = new ArrayBufferWriter<byte>();
        Add(data, export);
        BinaryPrimitives.WriteUInt32BigEndian(data.GetSpan(4), (uint)queries.Length);
        data.Advance(4);
        foreach (string query in queries) Add(data, query);
        return data.WrittenSpan.ToArray();
    }

    private static void Add(ArrayBufferWriter<byte> data, string text)
    {
        BinaryPrimitives.WriteUInt32BigEndian(data.GetSpan(4), (uint)Encoding.UTF8.GetByteCount(text));
        data.Advance(4);
        Encoding.UTF8.GetBytes(text, data);
    }
}
