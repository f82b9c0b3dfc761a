using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

public class WireTests
{
    [Fact]
    public void The_greeting_is_NBDMAGIC_IHAVEOPT_and_flags()
    {
        var wire = new byte[Greeting.Size];
        new Greeting(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes).WriteTo(wire);
        AssertBytes("4e42444d41474943 49484156454f5054 0003", wire);
        Assert.True(Greeting.TryRead(wire, out Greeting read));
        Assert.Equal(HandshakeFlags.FixedNewstyle | HandshakeFlags.NoZeroes, read.Flags);
    }

    [Fact]
    public void An_option_header_has_magic_option_and_length()
    {
        var wire = new byte[OptionHeader.Size];
        new OptionHeader(OptionType.SetMetaContext, 0x0102).WriteTo(wire);
        AssertBytes("49484156454f5054 0000000a 00000102", wire);
        Assert.True(OptionHeader.TryRead(wire, out OptionHeader read));
        Assert.Equal(new OptionHeader(OptionType.SetMetaContext, 0x0102), read);
        wire[0] ^= 1;
        Assert.False(OptionHeader.TryRead(wire, out _));
    }

    [Fact]
    public void An_option_reply_has_magic_option_type_and_length()
    {
        var wire = new byte[OptionReplyHeader.Size];
        new OptionReplyHeader(OptionType.Go, OptionReplyType.ErrorUnknown, 5).WriteTo(wire);
        AssertBytes("0003e889045565a9 00000007 80000006 00000005", wire);
        Assert.True(OptionReplyHeader.TryRead(wire, out OptionReplyHeader read));
        Assert.Equal(new OptionReplyHeader(OptionType.Go, OptionReplyType.ErrorUnknown, 5), read);
    }

    [Fact]
    public void A_request_is_28_bytes()
    {
        var request = new RequestHeader(CommandType.Write, CommandFlags.Fua, 0x1122334455667788, 0x0102030405060708, 0x1000);
        var wire = new byte[RequestHeader.Size];
        request.WriteTo(wire);
        AssertBytes("25609513 0001 0001 1122334455667788 0102030405060708 00001000", wire);
        Assert.True(RequestHeader.TryRead(wire, out RequestHeader read));
        Assert.Equal(request, read);
        wire[3] ^= 1;
        Assert.False(RequestHeader.TryRead(wire, out _));
    }

    [Fact]
    public void A_simple_reply_is_16_bytes()
    {
        var wire = new byte[SimpleReply.Size];
        new SimpleReply(NbdError.NoSpace, 0x1122334455667788).WriteTo(wire);
        AssertBytes("67446698 0000001c 1122334455667788", wire);
        Assert.True(SimpleReply.TryRead(wire, out SimpleReply read));
        Assert.Equal(new SimpleReply(NbdError.NoSpace, 0x1122334455667788), read);
    }

    [Fact]
    public void Chunks_count_their_payload_in_the_header()
    {
        var data = new byte[OffsetDataChunk.Size];
        new OffsetDataChunk(ChunkFlags.Done, Cookie: 1, Offset: 0x2000, DataLength: 512).WriteTo(data);
        AssertBytes("668e33ef 0001 0001 0000000000000001 00000208 0000000000002000", data);

        var hole = new byte[OffsetHoleChunk.Size];
        new OffsetHoleChunk(ChunkFlags.None, Cookie: 1, Offset: 0x2000, HoleSize: 512).WriteTo(hole);
        AssertBytes("668e33ef 0000 0002 0000000000000001 0000000c 0000000000002000 00000200", hole);

        var error = new byte[ErrorChunk.Size];
        new ErrorChunk(Cookie: 1, NbdError.InputOutput, TextLength: 3).WriteTo(error);
        AssertBytes("668e33ef 0001 8001 0000000000000001 00000009 00000005 0003", error);

        var status = new byte[BlockStatusChunk.Size];
        new BlockStatusChunk(ChunkFlags.Done, Cookie: 1, ContextId: 7, ExtentCount: 2).WriteTo(status);
        AssertBytes("668e33ef 0001 0005 0000000000000001 00000014 00000007", status);

        var extent = new byte[BlockStatusExtent.Size];
        new BlockStatusExtent(0x10000, 3).WriteTo(extent);
        AssertBytes("00010000 00000003", extent);
        Assert.Equal(new BlockStatusExtent(0x10000, 3), BlockStatusExtent.Read(extent));
    }

    [Fact]
    public void Export_descriptions_have_their_type_in_front()
    {
        var export = new byte[ExportInfo.Size];
        new ExportInfo(0x100000, (TransmissionFlags)0x0CED).WriteTo(export);
        AssertBytes("0000 0000000000100000 0ced", export);
        Assert.Equal(new ExportInfo(0x100000, (TransmissionFlags)0x0CED), ExportInfo.Read(export));

        var sizes = new byte[BlockSizeInfo.Size];
        new BlockSizeInfo(1, 4096, 32 << 20).WriteTo(sizes);
        AssertBytes("0003 00000001 00001000 02000000", sizes);
        Assert.Equal(new BlockSizeInfo(1, 4096, 32 << 20), BlockSizeInfo.Read(sizes));

        var old = new byte[ExportNameReply.Size];
        new ExportNameReply(0x100000, (TransmissionFlags)0x0CED).WriteTo(old);
        AssertBytes("0000000000100000 0ced", old);
        Assert.Equal(new ExportNameReply(0x100000, (TransmissionFlags)0x0CED), ExportNameReply.Read(old));
    }

    [Theory]
    [InlineData("00000001 61 0001 0003", true)]
    [InlineData("00000000 0000", true)]
    [InlineData("00000002 61 0000", false)]            // the name is said to be longer than the data
    [InlineData("ffffffff 61 0000", false)]
    [InlineData("00000001 61 0002 0003", false)]       // fewer types than said
    [InlineData("00000001 61 0000 00", false)]         // something behind the end
    [InlineData("00000001 00 0000", false)]            // NUL
    [InlineData("00000001 ff 0000", false)]            // not UTF-8
    [InlineData("", false)]
    public void An_info_request_is_taken_only_when_it_adds_up(string hex, bool isValid)
        => Assert.Equal(isValid, InfoRequest.TryRead(Bytes(hex), out _));

    [Theory]
    [InlineData("00000001 61 00000001 00000002 6162", true)]
    [InlineData("00000001 61 00000000", true)]
    [InlineData("00000001 61 ffffffff", false)]        // four thousand million queries and no data
    [InlineData("00000001 61 00000001 00000003 6162", false)]
    [InlineData("00000001 61 00000001 00000001 6162", false)]
    public void A_context_request_is_taken_only_when_it_adds_up(string hex, bool isValid)
        => Assert.Equal(isValid, MetaContextRequest.TryRead(Bytes(hex), out _));

    private static byte[] Bytes(string hex) => Convert.FromHexString(hex.Replace(" ", "", StringComparison.Ordinal));

    private static void AssertBytes(string expected, byte[] actual) => Assert.Equal(Convert.ToHexString(Bytes(expected)), Convert.ToHexString(actual));

    [Fact]
    public void Extended_requests_and_chunks_have_lengths_of_64_bits()
    {
        var request = new byte[RequestHeader.ExtendedSize];
        new RequestHeader(CommandType.WriteZeroes, CommandFlags.Fua, 0x0102030405060708, 0x1000, 0x2_0000_0000).WriteTo(request, isExtended: true);
        Assert.Equal("21E41C71" + "0001" + "0006" + "0102030405060708" + "0000000000001000" + "0000000200000000", Convert.ToHexString(request));
        Assert.True(RequestHeader.TryRead(request, out RequestHeader read, isExtended: true));
        Assert.Equal(0x2_0000_0000UL, read.Length);

        var status = new byte[BlockStatusChunk.SizeOf(isExtended: true)];
        new BlockStatusChunk(ChunkFlags.Done, Cookie: 1, ContextId: 7, ExtentCount: 2, RequestOffset: 0x1000).WriteTo(status, isExtended: true);
        Assert.Equal("6E8A278C" + "0001" + "0006" + "0000000000000001" + "0000000000001000" + "0000000000000028" + "00000007" + "00000002", Convert.ToHexString(status));
        Assert.True(ChunkHeader.TryRead(status, out ChunkHeader chunk, isExtended: true));
        Assert.Equal((40UL, 0x1000UL), (chunk.Length, chunk.Offset));

        var extent = new byte[BlockStatusExtent.ExtendedSize];
        new BlockStatusExtent(0x2_0000_0000, 3).WriteTo(extent, isExtended: true);
        Assert.Equal(new BlockStatusExtent(0x2_0000_0000, 3), BlockStatusExtent.Read(extent, isExtended: true));
    }
}
