using System.Buffers.Binary;
using System.Text;

namespace Varve.Nbd.Wire;

/// <summary>Reads the fields of an option's data one after the other; every field is checked against what is left.</summary>
internal ref struct OptionDataReader(ReadOnlySpan<byte> data)
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
    private ReadOnlySpan<byte> _left = data;

    public readonly bool IsAtEnd => _left.IsEmpty;

    public bool TryReadUInt16(out ushort value)
    {
        if (!BinaryPrimitives.TryReadUInt16BigEndian(_left, out value)) return false;
        _left = _left[2..];
        return true;
    }

    public bool TryReadUInt32(out uint value)
    {
        if (!BinaryPrimitives.TryReadUInt32BigEndian(_left, out value)) return false;
        _left = _left[4..];
        return true;
    }

    /// <summary>A string with its length before it: 0 u32 length  4 the bytes.</summary>
    public bool TryReadString(out string text)
    {
        text = "";
        if (!TryReadUInt32(out uint length) || length > (uint)_left.Length || length > NbdLimits.MaxString) return false;
        if (!TryDecode(_left[..(int)length], out text)) return false;
        _left = _left[(int)length..];
        return true;
    }

    /// <summary>UTF-8 without NUL, as the protocol's "Conventions" ask.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> bytes, out string text)
    {
        text = "";
        if (bytes.Contains((byte)0)) return false;
        try
        {
            text = s_strict.GetString(bytes);
            return true;
        }
        catch (DecoderFallbackException)
        {
            return false;
        }
    }
}

/// <summary>Data of INFO and GO. 0 u32 name length  4 name  then u16 count  then count times u16 information type</summary>
internal readonly record struct InfoRequest(string Name, IReadOnlyList<InfoType> Wanted)
{
    public static bool TryRead(ReadOnlySpan<byte> data, out InfoRequest request)
    {
        request = default;
        var reader = new OptionDataReader(data);
        if (!reader.TryReadString(out string name) || !reader.TryReadUInt16(out ushort count)) return false;
        var wanted = new List<InfoType>();
        for (int i = 0; i < count; i++)
        {
            if (!reader.TryReadUInt16(out ushort type)) return false;
            wanted.Add((InfoType)type);
        }

        request = new(name, wanted);
        return reader.IsAtEnd;
    }
}

/// <summary>Data of LIST_META_CONTEXT and SET_META_CONTEXT.
/// 0 u32 name length  4 name  then u32 count  then count times (u32 length, query)</summary>
internal readonly record struct MetaContextRequest(string Name, IReadOnlyList<string> Queries)
{
    public static bool TryRead(ReadOnlySpan<byte> data, out MetaContextRequest request)
    {
        request = default;
        var reader = new OptionDataReader(data);
        if (!reader.TryReadString(out string name) || !reader.TryReadUInt32(out uint count)) return false;
        var queries = new List<string>();
        for (uint i = 0; i < count; i++)
        {
            if (!reader.TryReadString(out string query)) return false;   // a lying count ends here: there is no data for it
            queries.Add(query);
        }

        request = new(name, queries);
        return reader.IsAtEnd;
    }
}
