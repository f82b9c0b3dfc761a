using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Interop.Linux;
using Varve.Qmp;
using Varve.Qmp.Events;
using Varve.Qmp.Server.Chardevs;

namespace Varve.Tests.Qmp;

/// <summary>A client's conversation: greeting, negotiation, errors of the dispatcher, several clients, clients that misbehave.</summary>
public sealed class QmpSessionTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_greeting_names_the_version_and_oob()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync();
        JsonNode greeting = (await client.ReceiveAsync())!["QMP"]!;
        Assert.Equal("""["oob"]""", greeting["capabilities"]!.ToJsonString());
        Assert.Equal(8, (int)greeting["version"]!["qemu"]!["major"]!);
        Assert.StartsWith("Varve", (string)greeting["version"]!["package"]!);
    }

    [Fact]
    public async Task Nothing_but_the_negotiation_is_accepted_before_it()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync();
        await client.ReceiveAsync();
        const string Refusal = """{"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}""";
        Assert.Equal(Refusal, await client.AskAsync("""{"execute": "query-version"}"""));
        Assert.Equal(Refusal, await client.AskAsync("""{"execute": "nonsense"}"""));
        Assert.Equal("""{"error": {"class": "GenericError", "desc": "Parameter 'bar' is unexpected"}}""",
            await client.AskAsync("""{"execute": "qmp_capabilities", "arguments": {"bar": 1}}"""));
        Assert.Equal("""{"return": {}}""", await client.AskAsync("""{"execute": "qmp_capabilities"}"""));
        Assert.Equal("""{"error": {"class": "CommandNotFound", "desc": "Capabilities negotiation is already complete, command ignored"}}""",
            await client.AskAsync("""{"execute": "qmp_capabilities"}"""));
    }

    // What qemu-storage-daemon answers to each of these was recorded from it.
    [Theory]
    [InlineData("""{"execute":"foo","id":{"a":1}}""", """{"id": {"a": 1}, "error": {"class": "CommandNotFound", "desc": "The command foo has not been found"}}""")]
    [InlineData("[1]", """{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}""")]
    [InlineData("17 ", """{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}""")]
    [InlineData("null ", """{"error": {"class": "GenericError", "desc": "QMP input must be a JSON object"}}""")]
    [InlineData("""{"execute":1}""", """{"error": {"class": "GenericError", "desc": "QMP input member 'execute' must be a string"}}""")]
    [InlineData("""{"arguments":5,"execute":5}""", """{"error": {"class": "GenericError", "desc": "QMP input member 'execute' must be a string"}}""")]
    [InlineData("""{"execute":"x","arguments":null,"id":7}""", """{"id": 7, "error": {"class": "GenericError", "desc": "QMP input member 'arguments' must be an object"}}""")]
    [InlineData("""{"execute":"query-version","foo":1}""", """{"error": {"class": "GenericError", "desc": "QMP input member 'foo' is unexpected"}}""")]
    [InlineData("""{"id":5}""", """{"id": 5, "error": {"class": "GenericError", "desc": "QMP input lacks member 'execute'"}}""")]
    [InlineData("""{"exec-oob":"query-jobs"}""", """{"error": {"class": "GenericError", "desc": "QMP input member 'exec-oob' is unexpected"}}""")]
    [InlineData("""{"execute":"query-jobs","id":null}""", """{"return": [], "id": null}""")]
    [InlineData("""{'execute':'query-jobs', 'id':'\u00e4\n"'}""", """{"return": [], "id": "\u00E4\n\""}""")]
    [InlineData("""{"execute":"query-jobs","arguments":{"x":1}}""", """{"error": {"class": "GenericError", "desc": "Parameter 'x' is unexpected"}}""")]
    [InlineData("""{"execute":"job-pause"}""", """{"error": {"class": "GenericError", "desc": "Parameter 'id' is missing"}}""")]
    [InlineData("""{"execute":"job-pause","arguments":{"id":1}}""", """{"error": {"class": "GenericError", "desc": "Invalid parameter type for 'id', expected: string"}}""")]
    [InlineData("""{"execute":"job-pause","arguments":{"id":"x"}}""", """{"error": {"class": "GenericError", "desc": "Job not found"}}""")]
    [InlineData("""{"execute":"block-job-pause","arguments":{"device":"x"}}""", """{"error": {"class": "DeviceNotActive", "desc": "Block job 'x' not found"}}""")]
    [InlineData("""{"execute":"block-stream","arguments":{"device":"a","on-error":"foo"}}""", """{"error": {"class": "GenericError", "desc": "Parameter 'on-error' does not accept value 'foo'"}}""")]
    [InlineData("""{"execute":"block-stream","arguments":{"device":"a","speed":1.5}}""", """{"error": {"class": "GenericError", "desc": "Invalid parameter type for 'speed', expected: integer"}}""")]
    [InlineData("""{"execute":"block-stream","arguments":{"device":"a","speed":99999999999999999999}}""", """{"error": {"class": "GenericError", "desc": "Invalid parameter type for 'speed', expected: integer"}}""")]
    [InlineData("""{"execute":"block-stream","arguments":{"device":"x","auto-finalize":"on"}}""", """{"error": {"class": "GenericError", "desc": "Invalid parameter type for 'auto-finalize', expected: boolean"}}""")]
    [InlineData("""{"execute":"nbd-server-start","arguments":{"addr":{"type":"unix","data":{}}}}""", """{"error": {"class": "GenericError", "desc": "Parameter 'addr.data.path' is missing"}}""")]
    [InlineData("""{"execute":"nbd-server-start","arguments":{"max-connections":4294967296,"addr":{"type":"unix","data":{"path":"/x"}}}}""", """{"error": {"class": "GenericError", "desc": "Parameter 'max-connections' expects uint32_t"}}""")]
    [InlineData("""{"execute":"nbd-server-start","arguments":{"tls-creds":"x","addr":{"type":"unix","data":{"path":"/x"}}}}""", """{"error": {"class": "GenericError", "desc": "No TLS credentials with id 'x'"}}""")]
    [InlineData("""{"execute":"nbd-server-start","arguments":{"addr":{"type":"unix","data":{"path":"/nonexist/x"}}}}""", """{"error": {"class": "GenericError", "desc": "Failed to bind socket to /nonexist/x: No such file or directory"}}""")]
    [InlineData("""{"execute":"nbd-server-stop"}""", """{"error": {"class": "GenericError", "desc": "NBD server not running"}}""")]
    [InlineData("""{"execute":"block-export-del","arguments":{"id":"ee"}}""", """{"error": {"class": "GenericError", "desc": "Export 'ee' is not found"}}""")]
    [InlineData("""{"execute":"chardev-remove","arguments":{"id":"c"}}""", """{"error": {"class": "GenericError", "desc": "Chardev 'c' is busy"}}""")]
    public async Task Errors_read_as_the_references(string message, string reply)
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync(negotiate: true);
        Assert.Equal(reply, await client.AskAsync(message));
    }

    [Theory]
    [InlineData("""{"exec-oob":"query-jobs","id":1}""", """{"id": 1, "error": {"class": "GenericError", "desc": "The command query-jobs does not support OOB"}}""")]
    [InlineData("""{"exec-oob":"query-jobs","execute":"query-jobs"}""", """{"error": {"class": "GenericError", "desc": "QMP input member 'execute' clashes with 'exec-oob'"}}""")]
    [InlineData("""{"exec-oob":"nope"}""", """{"error": {"class": "CommandNotFound", "desc": "The command nope has not been found"}}""")]
    [InlineData("""{"exec-oob":"qmp_capabilities"}""", """{"error": {"class": "GenericError", "desc": "The command qmp_capabilities does not support OOB"}}""")]
    public async Task Out_of_band_execution_is_refused_by_name_once_negotiated(string message, string reply)
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync();
        await client.ReceiveAsync();
        await client.AskAsync("""{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}""");
        Assert.Equal(reply, await client.AskAsync(message));
    }

    [Fact]
    public async Task A_monitor_in_pretty_mode_indents_by_four()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync(pretty: true);
        using RawQmpClient client = await host.ConnectRawAsync(negotiate: true);
        await client.SendAsync("""{"execute": "query-jobs", "id": [1, {}]}""");
        byte[] buffer = new byte[4096];
        int count = await client.Socket.ReceiveAsync(buffer, Cancellation);
        Assert.Equal(
            "{\r\n    \"return\": [\r\n    ],\r\n    \"id\": [\r\n        1,\r\n        {\r\n        }\r\n    ]\r\n}\r\n",
            Encoding.ASCII.GetString(buffer, 0, count));
    }

    [Fact]
    public async Task Commands_sent_at_once_are_answered_in_order()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync(negotiate: true);
        await client.SendAsync(string.Concat(Enumerable.Range(0, 100).Select(i => $$"""{"execute":"query-jobs","id":{{i}}}""")));
        for (int i = 0; i < 100; i++) Assert.Equal(i, (int)(await client.ReceiveAsync())!["id"]!);
    }

    [Fact]
    public async Task Every_negotiated_client_is_told_events_in_the_same_order()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient one = await host.ConnectAsync(), two = await host.ConnectAsync();
        using RawQmpClient silent = await host.ConnectRawAsync();   // has not negotiated: hears nothing
        for (int i = 0; i < 50; i++) host.Context.Emit(BlockEvents.ExportDeleted, new JsonObject { ["id"] = $"e{i}" });
        foreach (QmpClient client in new[] { one, two })
        {
            for (int i = 0; i < 50; i++)
            {
                QmpEvent happened = await client.WaitForEventAsync("BLOCK_EXPORT_DELETED", cancellationToken: Cancellation);
                Assert.Equal($"e{i}", (string?)happened.Data!["id"]);
                Assert.InRange((DateTimeOffset.UtcNow - happened.Timestamp).TotalMinutes, -1, 1);
            }
        }

        await silent.ReceiveAsync();
        Assert.Equal("""{"return": {}}""", await silent.AskAsync("""{"execute": "qmp_capabilities"}"""));
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_cut_off_and_nobody_else_notices()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient stalled = await host.ConnectRawAsync(negotiate: true);
        await using QmpClient reader = await host.ConnectAsync();
        string padding = new('x', 1 << 16);
        for (int i = 0; i < 640; i++)
        {
            host.Context.Emit(BlockEvents.ExportDeleted, new JsonObject { ["id"] = padding });
            await reader.WaitForEventAsync("BLOCK_EXPORT_DELETED", cancellationToken: Cancellation);
        }

        Assert.NotNull(await reader.ExecuteAsync("query-version", cancellationToken: Cancellation));
        int events = 0;
        while (await stalled.ReceiveAsync() is not null) events++;
        Assert.InRange(events, 1, 639);
    }

    [Fact]
    public async Task A_client_that_asks_without_reading_waits_for_itself_only()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient greedy = await host.ConnectRawAsync(negotiate: true);
        byte[] question = Encoding.ASCII.GetBytes("""{"execute":"query-qmp-schema"}""");
        using var patience = new CancellationTokenSource(TimeSpan.FromMilliseconds(500));
        try
        {
            while (true) await greedy.Socket.SendAsync(question, patience.Token);   // until the server stops reading
        }
        catch (OperationCanceledException)
        {
        }

        await using QmpClient other = await host.ConnectAsync();
        Assert.NotNull(await other.ExecuteAsync("query-version", cancellationToken: Cancellation));
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_middle_of_a_message_harms_nobody()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using (RawQmpClient rude = await host.ConnectRawAsync(negotiate: true)) await rude.SendAsync("""{"execute": "quer""");
        await using QmpClient other = await host.ConnectAsync();
        Assert.NotNull(await other.ExecuteAsync("query-version", cancellationToken: Cancellation));
    }

    [Fact]
    public async Task Quit_is_answered_before_the_connection_closes()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using RawQmpClient client = await host.ConnectRawAsync(negotiate: true);
        Assert.Equal("""{"return": {}}""", await client.AskAsync("""{"execute": "quit"}"""));
        await host.Context.QuitRequested.WaitAsync(Cancellation);
        await host.Context.Monitors.DisposeAsync();
        Assert.Null(await client.ReceiveAsync());
    }

    [Fact]
    public async Task A_job_runs_to_its_end_before_the_eyes_of_the_client()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync(), watcher = await host.ConnectAsync();
        await client.ExecuteAsync("blockdev-create", new()
        {
            ["job-id"] = "j",
            ["options"] = new JsonObject { ["driver"] = "file", ["filename"] = host.Directory["image"], ["size"] = 65536 },
        }, Cancellation);
        await client.WaitForJobStatusAsync("j", "concluded", Cancellation);
        await client.ExecuteAsync("job-dismiss", new() { ["id"] = "j" }, Cancellation);
        Assert.Equal(65536, new FileInfo(host.Directory["image"]).Length);
        List<string?> seen = [];
        await foreach (QmpEvent happened in watcher.ReadEventsAsync(Cancellation))
        {
            seen.Add((string?)happened.Data!["status"]);
            if (seen[^1] == "null") break;
        }

        Assert.Equal(["created", "running", "waiting", "pending", "concluded", "null"], seen);
    }

    [Fact]
    public async Task What_waits_for_a_server_that_goes_away_fails()
    {
        QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        Task<QmpEvent> waiting = client.WaitForEventAsync("NEVER", cancellationToken: Cancellation);
        await host.DisposeAsync();
        await Assert.ThrowsAsync<IOException>(() => waiting);
        await Assert.ThrowsAsync<IOException>(() => client.ExecuteAsync("query-jobs", cancellationToken: Cancellation));
    }

    [Fact]
    public async Task A_monitor_listens_on_tcp_and_connects_out()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        var listening = (SocketChardev)await host.Context.Chardevs.AddFromCommandLineAsync(
            new JsonObject { ["backend"] = "socket", ["id"] = "tcp", ["host"] = "127.0.0.1", ["port"] = "0", ["server"] = "on", ["wait"] = "off" },
            Cancellation);
        await host.Context.Monitors.AddAsync("tcp");
        int port = ((System.Net.IPEndPoint)listening.LocalEndPoint!).Port;
        await using (QmpClient client = await QmpClient.ConnectTcpAsync("127.0.0.1", port, Cancellation))
        {
            Assert.Equal("[]", (await client.ExecuteAsync("query-jobs", cancellationToken: Cancellation))!.ToJsonString());
        }

        using var here = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        here.Bind(new UnixDomainSocketEndPoint(host.Directory["out.sock"]));
        here.Listen();
        await host.Context.Chardevs.AddFromCommandLineAsync(
            new JsonObject { ["backend"] = "socket", ["id"] = "out", ["path"] = host.Directory["out.sock"] }, Cancellation);
        await host.Context.Monitors.AddAsync("out");
        using Socket accepted = await here.AcceptAsync(Cancellation);
        await using QmpClient other = await QmpClient.ConnectAsync(new NetworkStream(accepted), Cancellation);
        Assert.Equal("[]", (await other.ExecuteAsync("query-jobs", cancellationToken: Cancellation))!.ToJsonString());
    }

    [Fact]
    public async Task A_monitor_serves_a_socket_the_process_was_given()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "descriptors are numbers on Linux");
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        using var given = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        given.Bind(new UnixDomainSocketEndPoint(host.Directory["given.sock"]));
        given.Listen();
        using var borrowed = new SafeFileHandle(given.Handle, ownsHandle: false);
        int inherited = Libc.Fcntl(borrowed, FcntlCommand.DuplicateCloseOnExec, 0);
        string number = inherited.ToString(System.Globalization.CultureInfo.InvariantCulture);
        await host.Context.Chardevs.AddFromCommandLineAsync(
            new JsonObject { ["backend"] = "socket", ["id"] = "fd", ["fd"] = number, ["server"] = "on", ["wait"] = "off" }, Cancellation);
        await host.Context.Monitors.AddAsync("fd");
        await using QmpClient client = await QmpClient.ConnectUnixAsync(host.Directory["given.sock"], Cancellation);
        Assert.Equal("[]", (await client.ExecuteAsync("query-jobs", cancellationToken: Cancellation))!.ToJsonString());
    }

    [Theory]
    [InlineData("""{"backend":"socket","id":"x","foo":"1"}""", "Invalid parameter 'foo'")]
    [InlineData("""{"backend":"foo","id":"x"}""", "'foo' is not a valid char driver name")]
    [InlineData("""{"backend":"stdio"}""", "chardev: no id specified")]
    [InlineData("""{"backend":"socket","id":"x","host":"x"}""", "chardev: socket: no port given")]
    [InlineData("""{"backend":"null","id":"c"}""", "Chardev with id 'c' already exists")]
    [InlineData("""{"backend":"socket","id":"x","path":"/x","tls-creds":"t"}""", "No TLS credentials with id 't'")]
    [InlineData("""{"backend":"socket","id":"x","path":"/nonexist/x","server":"on"}""", "Failed to bind socket to /nonexist/x: No such file or directory")]
    [InlineData("""{"backend":"socket","id":"x","path":"/nonexist/x"}""", "Failed to connect to '/nonexist/x': No such file or directory")]
    public async Task Character_devices_are_refused_with_a_reason(string options, string error)
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(
            () => host.Context.Chardevs.AddFromCommandLineAsync((JsonObject)JsonNode.Parse(options)!, Cancellation).AsTask());
        Assert.Equal(error, refused.Message);
    }
}
