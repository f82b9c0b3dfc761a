using System.Diagnostics;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Tests.Nbd.Client;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd.Tls;

/// <summary>Encrypted connections, of our client and server and of the reference's and libnbd's with ours.</summary>
public class TlsTests(TlsFiles files) : IClassFixture<TlsFiles>
{
    // ---- Ours with ours

    [Theory]
    [InlineData("x509", "server", "client1")]
    [InlineData("psk", "alice", "alice")]
    [InlineData("anon", null, null)]
    public async Task What_is_written_over_an_encrypted_connection_is_read_back(string kind, string? serverFiles, string? clientFiles)
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync(kind, serverFiles);
        await using OpenedExport disk = await OpenAsync(server, kind, clientFiles);
        var data = new byte[300_000];
        new Random(3).NextBytes(data);
        await Task.WhenAll(Enumerable.Range(0, 3).Select(i => disk.Backend.WriteAsync(i * data.Length, data).AsTask()));
        await disk.Backend.FlushAsync();
        var read = new byte[data.Length];
        await disk.Backend.ReadAsync(data.Length, read);
        Assert.True(read.AsSpan().SequenceEqual(data));
    }

    [Fact]
    public async Task A_certificate_for_another_host_is_refused_unless_that_host_was_meant()
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("x509", "server");
        await RefusedAsync(server, "x509", "client1", "elsewhere.example", "Certificate does not match the hostname elsewhere.example");
        await RefusedAsync(server, "x509", "client1", null, "No hostname for certificate validation");
        await using OpenedExport disk = await OpenAsync(server, "x509", "client1", "127.0.0.1");
    }

    [Fact]
    public async Task An_authority_nobody_knows_is_refused()
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("x509", "server");
        await RefusedAsync(server, "x509", "stranger", "server.example", "The certificate hasn't got a known issuer");
    }

    [Theory]
    [InlineData("""{"qom-type":"authz-simple","id":"a","identity":"O=Example,CN=one"}""")]
    [InlineData("""{"qom-type":"authz-list","id":"a","policy":"deny","rules":[{"match":"*CN=one","policy":"allow","format":"glob"}]}""")]
    public async Task Only_whom_the_authorizer_allows_comes_in(string authorizer)
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("x509", "server", authorizer);
        var reasons = new List<string>();
        server.Server.NegotiationFailed = reasons.Add;
        await using (OpenedExport disk = await OpenAsync(server, "x509", "client1")) await disk.Backend.FlushAsync();
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenAsync(server, "x509", "client2"));

        // The server hangs up: how the client learns of it depends on how far it was.
        Assert.Matches("^Failed to [^:]*: Cannot (read from|write to) TLS channel: (Software caused connection abort|Connection reset by peer|Broken pipe)$", refused.Message);
        await Patience.UntilAsync(() => reasons.Count > 0, "the reason arrives");
        Assert.Equal(["TLS x509 authz check for O=Example,CN=two is denied"], reasons);
    }

    [Fact]
    public async Task A_key_that_the_server_does_not_know_is_refused()
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("psk", "alice");
        await RefusedAsync(server, "psk", "bob", null, "TLS handshake failed: The TLS connection was non-properly terminated.");
    }

    [Fact]
    public async Task A_client_in_the_clear_is_told_to_encrypt_and_one_that_encrypts_that_it_cannot()
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("psk", "alice");
        BlockException refused = await Assert.ThrowsAsync<BlockException>(() => OpenedExport.OpenAsync(server));
        Assert.Equal("TLS negotiation required before option 7 (go)", refused.Message);
        Assert.Equal("Did you forget a valid tls-creds?\nserver reported: Option 0x7 not permitted before TLS", refused.Hint);

        await using NbdTestServer plain = await NbdTestServer.StartAsync();
        await RefusedAsync(plain, "psk", "alice", null, "Denied by server for option 5 (starttls)");
    }

    [Fact]
    public async Task What_a_client_sends_behind_its_wish_to_encrypt_is_not_taken_for_encrypted()
    {
        TlsFiles.Need();
        await using NbdTestServer server = await StartAsync("psk", "alice");
        var reasons = new List<string>();
        server.Server.NegotiationFailed = reasons.Add;
        using NbdTestClient client = await (await server.ConnectAsync()).GreetAsync();
        var options = new byte[2 * Varve.Nbd.Wire.OptionHeader.Size];
        new Varve.Nbd.Wire.OptionHeader(Varve.Nbd.Wire.OptionType.StartTls, 0).WriteTo(options);
        new Varve.Nbd.Wire.OptionHeader(Varve.Nbd.Wire.OptionType.List, 0).WriteTo(options.AsSpan(Varve.Nbd.Wire.OptionHeader.Size));
        await client.SendAsync(options);
        await client.ReadAsync(20);   // the agreement
        Assert.True(await client.IsDroppedAsync());
        await Patience.UntilAsync(() => reasons.Count > 0, "the reason arrives");
        Assert.Equal(["Client sent data before TLS was started"], reasons);
    }

    [Theory]
    [InlineData("""{"qom-type":"tls-creds-x509","id":"t","endpoint":"server"}""", "Missing 'dir' property value")]
    [InlineData("""{"qom-type":"tls-creds-x509","id":"t","endpoint":"server","dir":"/nowhere"}""", "Unable to access credentials /nowhere/ca-cert.pem: No such file or directory")]
    [InlineData("""{"qom-type":"tls-creds-psk","id":"t","dir":"/nowhere"}""", "Unable to access credentials /nowhere/keys.psk: No such file or directory")]
    [InlineData("""{"qom-type":"authz-list-file","id":"t","filename":"/nowhere"}""", "Unable to read '/nowhere': Failed to open file “/nowhere”: No such file or directory")]
    public void Credentials_that_cannot_be_loaded_say_why(string options, string message)
        => Assert.Equal(message, Assert.Throws<BlockException>(() => new BlockGraph().Objects.Add(JsonNode.Parse(options)!.AsObject())).Message);

    // ---- With others

    [Fact]
    public async Task The_references_client_speaks_to_our_server()
    {
        TlsFiles.Need();
        Tool.Need("qemu-img");
        await using (NbdTestServer server = await StartAsync("x509", "server"))
        {
            string output = ReferenceTool.Run(
                "qemu-img", "info", "--object", $"tls-creds-x509,id=t,dir={files["client1"]},endpoint=client", "--image-opts",
                $"driver=nbd,path={server.SocketPath},export=disk,tls-creds=t,tls-hostname=server.example");
            Assert.Contains("virtual size: 1 MiB", output, StringComparison.Ordinal);
        }

        await using (NbdTestServer server = await StartAsync("psk", "alice"))
        {
            string output = ReferenceTool.Run(
                "qemu-img", "info", "--object", $"tls-creds-psk,id=t,dir={files["alice"]},endpoint=client,username=alice", "--image-opts",
                $"driver=nbd,path={server.SocketPath},export=disk,tls-creds=t");
            Assert.Contains("virtual size: 1 MiB", output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("x509", "server", "client1")]
    [InlineData("psk", "alice", "alice")]
    public async Task Our_client_speaks_to_the_references_server(string kind, string serverFiles, string clientFiles)
    {
        TlsFiles.Need();
        Tool.Need("qemu-nbd");
        using var folder = new TempDirectory();
        string image = folder.File("image", 1 << 20), socket = folder["socket"];
        using Process reference = Tool.Start(
            "qemu-nbd", "-t", "-e", "0", "-f", "raw", "-x", "disk", "-k", socket, "--object", $"tls-creds-{kind},id=t,dir={files[serverFiles]},endpoint=server", "--tls-creds", "t", image);
        try
        {
            await Patience.UntilExistsAsync(socket);
            await using OpenedExport disk = await OpenAsync(socket, kind, clientFiles);
            var data = new byte[100_000];
            new Random(4).NextBytes(data);
            await disk.Backend.WriteAsync(1000, data);
            var read = new byte[data.Length];
            await disk.Backend.ReadAsync(1000, read);
            Assert.True(read.AsSpan().SequenceEqual(data));
        }
        finally
        {
            reference.Kill();
        }
    }

    [Fact]
    public async Task Nbdinfo_speaks_to_our_server()
    {
        TlsFiles.Need();
        Tool.Need("nbdinfo");
        await using (NbdTestServer server = await StartAsync("psk", "alice"))
        {
            string info = ReferenceTool.Run("nbdinfo", $"nbds+unix://alice@/disk?socket={server.SocketPath}&tls-psk-file={files["alice"]}/keys.psk");
            Assert.Contains("with TLS", info, StringComparison.Ordinal);
        }
    }

    // ---- Helpers

    private async Task<NbdTestServer> StartAsync(string kind, string? directory, string? authorizer = null)
    {
        NbdTestServer? made = null;
        made = await NbdTestServer.StartAsync(new NbdServerOptions { Tls = transport => NbdServerOptions.UpgradeWith(
            made!.Graph.Objects, made.Graph.Objects.FindTls("t", isServer: true), authorizer is null ? null : "a")!(transport) });
        made.Graph.Objects.Add(Credentials(kind, directory, "server", null));
        if (authorizer is not null) made.Graph.Objects.Add(JsonNode.Parse(authorizer)!.AsObject());
        return made;
    }

    private Task<OpenedExport> OpenAsync(NbdTestServer server, string kind, string? directory, string? hostname = "server.example")
        => OpenAsync(server.SocketPath, kind, directory, hostname);

    private Task<OpenedExport> OpenAsync(string socket, string kind, string? directory, string? hostname = "server.example")
    {
        var options = new JsonObject
        {
            ["driver"] = "nbd", ["export"] = "disk", ["tls-creds"] = "t", ["server"] = new JsonObject { ["type"] = "unix", ["path"] = socket },
        };
        if (hostname is not null) options["tls-hostname"] = hostname;
        return OpenedExport.OpenAsync(options, graph => graph.Objects.Add(Credentials(kind, directory, "client", directory)));
    }

    private async Task RefusedAsync(NbdTestServer server, string kind, string directory, string? hostname, string message)
        => Assert.Equal(message, (await Assert.ThrowsAsync<BlockException>(() => OpenAsync(server, kind, directory, hostname))).Message);

    private JsonObject Credentials(string kind, string? directory, string endpoint, string? user)
    {
        var options = new JsonObject { ["qom-type"] = $"tls-creds-{kind}", ["id"] = "t", ["endpoint"] = endpoint };
        if (directory is not null) options["dir"] = files[directory];
        if (kind == "psk" && user is not null) options["username"] = user;
        return options;
    }
}
