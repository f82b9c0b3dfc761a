using System.Text;
using Varve.Nbd.Server;
using Varve.Nbd.Wire;

namespace Varve.Tests.Nbd;

public class HandshakeTests
{
    [Fact]
    public async Task GO_describes_the_export_and_begins_transmission()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { Description = "some text" });
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();

        var replies = await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk", InfoType.Name, InfoType.Description, InfoType.BlockSize));

        Assert.Equal("disk", TextOf(replies, InfoType.Name));
        Assert.Equal("some text", TextOf(replies, InfoType.Description));
        Assert.Equal(new BlockSizeInfo(1, 4096, 32 << 20), BlockSizeInfo.Read(DataOf(replies, InfoType.BlockSize)));
        Assert.Equal(new ExportInfo(1 << 20, (TransmissionFlags)0x0D6D), ExportInfo.Read(DataOf(replies, InfoType.Export)));
        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Flush));
    }

    [Theory]
    [InlineData(true, 0, 0x0DED)]    // structured replies add DF
    [InlineData(true, 1, 0x0CED)]    // one client: no multi-conn
    [InlineData(false, 0, 0x058F)]
    [InlineData(false, 1, 0x048F)]
    public async Task Transmission_flags_are_the_references(bool writable, int maxConnections, int flags)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(
            new NbdServerOptions { MaxConnections = maxConnections }, export: o => o with { Writable = writable });
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync();
        Assert.Equal((TransmissionFlags)flags, client.Flags);
    }

    [Theory]
    [InlineData(ClientFlags.All, false)]
    [InlineData(ClientFlags.FixedNewstyle, true)]
    [InlineData(ClientFlags.None, true)]      // not even fixed newstyle: EXPORT_NAME is all it knows
    public async Task EXPORT_NAME_begins_transmission_with_padding_unless_waived(object flags, bool padding)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync((ClientFlags)flags);
        await client.ChooseByNameAsync("disk", padding);
        Assert.Equal(1 << 20, client.ExportSize);
        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Flush));
    }

    [Fact]
    public async Task EXPORT_NAME_of_an_unknown_export_ends_the_connection()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        await client.SendOptionAsync(OptionType.ExportName, "nobody"u8.ToArray());
        Assert.True(await client.IsDroppedAsync());
    }

    [Fact]
    public async Task An_unknown_export_is_named_in_the_refusal_and_the_client_may_go_on()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();

        var refusal = (await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("no_such_export")))[^1];
        Assert.Equal((OptionReplyType.ErrorUnknown, "export 'no_such_export' not present"), (refusal.Type, Encoding.UTF8.GetString(refusal.Data)));

        refusal = (await client.OptionAsync(OptionType.Info, NbdTestClient.InfoData(new string('a', 4096))))[^1];
        Assert.Equal($"export '{new string('a', 80)}...' not present", Encoding.UTF8.GetString(refusal.Data));

        Assert.Equal(OptionReplyType.Ack, (await client.OptionAsync(OptionType.Info, NbdTestClient.InfoData("disk")))[^1].Type);
        Assert.Equal(OptionReplyType.Ack, (await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk")))[^1].Type);
    }

    [Fact]
    public async Task LIST_names_every_export_with_its_description()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { Description = "first" });
        await server.ControlAsync(() => server.Exports.AddAsync(new() { Id = "b", Name = "other", Node = server.Memory }).AsTask());
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();

        var replies = await client.OptionAsync(OptionType.List);

        Assert.Equal(["disk first", "other "], replies[..^1].Select(r => NameAndText(r.Data)));
        Assert.Equal(OptionReplyType.Ack, replies[^1].Type);
    }

    [Theory]
    [InlineData(OptionType.PeekExport, OptionReplyType.ErrorUnsupported)]
    [InlineData(OptionType.ExtendedHeaders, OptionReplyType.ErrorInvalid)]
    [InlineData((OptionType)4711, OptionReplyType.ErrorUnsupported)]
    [InlineData(OptionType.StartTls, OptionReplyType.ErrorPolicy)]
    [InlineData(OptionType.List, OptionReplyType.ErrorInvalid)]
    [InlineData(OptionType.Go, OptionReplyType.ErrorInvalid)]
    [InlineData(OptionType.StructuredReply, OptionReplyType.ErrorInvalid)]
    [InlineData(OptionType.SetMetaContext, OptionReplyType.ErrorInvalid)]
    public async Task An_option_that_is_unknown_or_malformed_is_refused_and_the_client_may_go_on(object option, object refusal)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        Assert.Equal(refusal, (await client.OptionAsync((OptionType)option, 1, 2, 3))[^1].Type);
        Assert.Equal(OptionReplyType.Ack, (await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk")))[^1].Type);
    }

    [Fact]
    public async Task ABORT_is_acknowledged_and_ends_the_connection()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        Assert.Equal(OptionReplyType.Ack, (await client.OptionAsync(OptionType.Abort))[^1].Type);
        Assert.True(await client.IsDroppedAsync());
    }

    [Theory]
    [InlineData(new string[0], "base:allocation qemu:allocation-depth")]
    [InlineData(new[] { "base:" }, "base:allocation")]
    [InlineData(new[] { "qemu:" }, "qemu:allocation-depth")]
    [InlineData(new[] { "qemu:allocation-depth", "base:allocation" }, "base:allocation qemu:allocation-depth")]
    [InlineData(new[] { "qemu:dirty-bitmap:", "nonsense", "x-mine:" }, "")]
    public async Task LIST_META_CONTEXT_answers_names_and_namespaces(string[] queries, string expected)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { AllocationDepth = true });
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        await client.OptionAsync(OptionType.StructuredReply);
        var replies = await client.OptionAsync(OptionType.ListMetaContext, NbdTestClient.ContextData("disk", queries));
        Assert.Equal(expected, string.Join(' ', replies[..^1].Select(r => Encoding.UTF8.GetString(r.Data[4..]))));
        Assert.All(replies[..^1], r => Assert.Equal([0, 0, 0, 0], r.Data[..4]));
    }

    [Theory]
    [InlineData(new string[0], "")]
    [InlineData(new[] { "base:" }, "")]
    [InlineData(new[] { "base:allocation", "qemu:allocation-depth" }, "0 base:allocation,1 qemu:allocation-depth")]
    public async Task SET_META_CONTEXT_selects_what_is_named_in_full(string[] queries, string expected)
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync(export: o => o with { AllocationDepth = true });
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        await client.OptionAsync(OptionType.StructuredReply);
        var replies = await client.OptionAsync(OptionType.SetMetaContext, NbdTestClient.ContextData("disk", queries));
        Assert.Equal(expected, string.Join(',', replies[..^1].Select(r => $"{r.Data[3]} {Encoding.UTF8.GetString(r.Data[4..])}")));
    }

    [Fact]
    public async Task Contexts_need_structured_replies_and_count_only_for_their_export()
    {
        await using NbdTestServer server = await NbdTestServer.StartAsync();
        await server.ControlAsync(() => server.Exports.AddAsync(new() { Id = "b", Name = "other", Node = server.Memory }).AsTask());
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        byte[] select = NbdTestClient.ContextData("other", "base:allocation");
        Assert.Equal(OptionReplyType.ErrorInvalid, (await client.OptionAsync(OptionType.SetMetaContext, select))[^1].Type);
        await client.OptionAsync(OptionType.StructuredReply);
        Assert.Equal(2, (await client.OptionAsync(OptionType.SetMetaContext, select)).Count);
        await client.OptionAsync(OptionType.Go, NbdTestClient.InfoData("disk"));
        Assert.Equal(NbdError.Invalid, (await client.StructuredAsync(CommandType.BlockStatus, 0, 4096)).Error);
    }

    private static byte[] DataOf(List<(OptionReplyType Type, byte[] Data)> replies, InfoType type)
        => replies.Single(r => r.Type == OptionReplyType.Info && r.Data[1] == (byte)type).Data;

    private static string TextOf(List<(OptionReplyType Type, byte[] Data)> replies, InfoType type)
        => Encoding.UTF8.GetString(DataOf(replies, type)[2..]);

    private static string NameAndText(byte[] data)
        => $"{Encoding.UTF8.GetString(data[4..(4 + data[3])])} {Encoding.UTF8.GetString(data[(4 + data[3])..])}";
}
