using Varve.IO;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>The reply of a READ, laid out so that the data is read where it is sent from: header, then data.</summary>
internal static class ReadReply
{
    /// <summary>Bytes from which on zeros are worth looking for: below, saying "hole" saves nothing.</summary>
    private const int MinHole = 512;

    /// <summary>Bytes before the data.</summary>
    public static int HeaderSize(HeaderForm form)
        => form == HeaderForm.Simple ? SimpleReply.Size : OffsetDataChunk.SizeOf(form == HeaderForm.Extended);

    /// <summary>Writes the header in front of data that has been read.</summary>
    /// <returns>Bytes of the reply: a range of zeros is told, not sent, where the client did not forbid it.</returns>
    /// <remarks>Data ends the search for zeros at its first byte that is none, so looking costs nothing where there is nothing.</remarks>
    public static int Finish(Span<byte> reply, in RequestHeader request, HeaderForm form)
    {
        int length = (int)request.Length;
        if (form == HeaderForm.Simple)
        {
            new SimpleReply(NbdError.None, request.Cookie).WriteTo(reply);
            return SimpleReply.Size + length;
        }

        bool isExtended = form == HeaderForm.Extended;
        int header = OffsetDataChunk.SizeOf(isExtended);
        if (length >= MinHole && (request.Flags & CommandFlags.DontFragment) == 0
            && ZeroScan.IsZero(reply.Slice(header, length)))
        {
            new OffsetHoleChunk(ChunkFlags.Done, request.Cookie, request.Offset, (uint)length).WriteTo(reply, isExtended);
            return OffsetHoleChunk.SizeOf(isExtended);
        }

        new OffsetDataChunk(ChunkFlags.Done, request.Cookie, request.Offset, length).WriteTo(reply, isExtended);
        return header + length;
    }
}
