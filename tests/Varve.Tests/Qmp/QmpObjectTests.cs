using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Objects;
using Varve.Qmp;
using Varve.Tests.Support;

namespace Varve.Tests.Qmp;

/// <summary>Objects, descriptors and character devices over QMP.</summary>
public sealed class QmpObjectTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    // Observed of the reference's daemon.
    [Theory]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","file":"/y"}""", "'file' and 'data' are mutually exclusive")]
    [InlineData("""{"qom-type":"secret","id":"s"}""", "Either 'file' or 'data' must be provided")]
    [InlineData("""{"qom-type":"secret","id":"s","file":"/nonexist"}""", "Unable to read /nonexist: Failed to open file “/nonexist”: No such file or directory")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"!!","format":"base64"}""", "Base64 data contains invalid characters")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","format":"foo"}""", "Parameter 'format' does not accept value 'foo'")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","keyid":"k"}""", "No secret with id 'k'")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","keyid":"key"}""", "IV is required to decrypt secret")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","keyid":"key","iv":"AAAA"}""", "IV should be 16 bytes in length not 3")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"x","keyid":"short","iv":"AAAA"}""", "Key should be 32 bytes in length")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"AAAA","format":"base64","keyid":"key","iv":"AAAAAAAAAAAAAAAAAAAAAA=="}""", "Length 3 must be a multiple of block size 16")]
    [InlineData("""{"qom-type":"secret","id":"s","data":"AAAAAAAAAAAAAAAAAAAAAA==","format":"base64","keyid":"key","iv":"AAAAAAAAAAAAAAAAAAAAAA=="}""", "Incorrect number of padding bytes (111) found on decrypted data")]
    [InlineData("""{"qom-type":"secret","id":"key","data":"x"}""", "attempt to add duplicate property 'key' to object (type 'container')")]
    [InlineData("""{"qom-type":"secret","id":"9x","data":"x"}""", "Parameter 'id' expects an identifier")]
    [InlineData("""{"qom-type":"foo","id":"x"}""", "Parameter 'qom-type' does not accept value 'foo'")]
    [InlineData("""{"qom-type":"iothread","id":"i","poll-max-ns":-1}""", "poll-max-ns value must be in range [0, 9223372036854775807]")]
    [InlineData("""{"qom-type":"iothread","id":"i","thread-pool-min":70}""", "bad thread-pool-min/thread-pool-max values")]
    public async Task Objects_are_refused_in_the_references_words(string options, string error)
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        await AddAsync(client, """{"qom-type":"secret","id":"key","data":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=","format":"base64"}""");
        await AddAsync(client, """{"qom-type":"secret","id":"short","data":"abc"}""");
        QmpException refused = await Assert.ThrowsAsync<QmpException>(() => AddAsync(client, options));
        Assert.Equal((QmpException.GenericError, error), (refused.ErrorClass, refused.Message));
    }

    [Fact]
    public async Task A_secret_is_decrypted_with_the_secret_it_names()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        using var aes = System.Security.Cryptography.Aes.Create();
        aes.Key = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        string encrypted = Convert.ToBase64String(aes.EncryptCbc("open sesame"u8, aes.IV));
        await AddAsync(client, $$"""{"qom-type":"secret","id":"key","format":"base64","data":"{{Convert.ToBase64String(aes.Key)}}"}""");
        await AddAsync(client,
            $$"""{"qom-type":"secret","id":"s","format":"base64","keyid":"key","iv":"{{Convert.ToBase64String(aes.IV)}}","data":"{{encrypted}}"}""");
        Assert.Equal("open sesame"u8.ToArray(), ((Secret)host.Context.Objects.Find("s")!).Value.ToArray());
    }

    [Fact]
    public async Task Properties_are_listed_read_and_set()
    {
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        await AddAsync(client, """{"qom-type":"iothread","id":"io0"}""");
        Assert.Equal("child<iothread>", (string?)(await client.ExecuteAsync("qom-list", new() { ["path"] = "/objects" }, Cancellation))![1]!["type"]);
        Assert.Equal(32768, (int)(await GetAsync("io0", "poll-max-ns"))!);
        await client.ExecuteAsync("qom-set", new() { ["path"] = "/objects/io0", ["property"] = "poll-max-ns", ["value"] = 7 }, Cancellation);
        Assert.Equal(7, (int)(await GetAsync("/objects/io0", "poll-max-ns"))!);
        QmpException unknown = await Assert.ThrowsAsync<QmpException>(() => GetAsync("io0", "poll"));
        Assert.Equal("Property 'iothread.poll' not found", unknown.Message);
        QmpException nobody = await Assert.ThrowsAsync<QmpException>(() => GetAsync("io1", "poll"));
        Assert.Equal((QmpException.DeviceNotFound, "Device 'io1' not found"), (nobody.ErrorClass, nobody.Message));

        Task<JsonNode?> GetAsync(string path, string property)
            => client.ExecuteAsync("qom-get", new() { ["path"] = path, ["property"] = property }, Cancellation);
    }

    [Fact]
    public async Task A_descriptor_passed_with_add_fd_is_in_its_set()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "descriptors are passed on Linux");
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        string path = host.Directory.File("passed", 4096);
        using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
        JsonNode added = (await client.ExecuteWithDescriptorAsync("add-fd", new() { ["fdset-id"] = 7, ["opaque"] = "rw:passed" }, file, Cancellation))!;
        Assert.Equal(7, (long)added["fdset-id"]!);
        JsonNode sets = (await client.ExecuteAsync("query-fdsets", cancellationToken: Cancellation))!;
        Assert.Equal($$"""[{"fds":[{"fd":{{added["fd"]}},"opaque":"rw:passed"}],"fdset-id":7}]""", sets.ToJsonString());
        Assert.Equal(path, new FileInfo($"/proc/self/fd/{added["fd"]}").ResolveLinkTarget(false)!.FullName);
        await client.ExecuteAsync("remove-fd", new() { ["fdset-id"] = 7, ["fd"] = (long)added["fd"]! }, Cancellation);
        Assert.Equal("[]", (await client.ExecuteAsync("query-fdsets", cancellationToken: Cancellation))!.ToJsonString());
        QmpException gone = await Assert.ThrowsAsync<QmpException>(() => client.ExecuteAsync("remove-fd", new() { ["fdset-id"] = 7 }, Cancellation));
        Assert.Equal("File descriptor named 'fdset-id:7' not found", gone.Message);
    }

    [Fact]
    public async Task Descriptors_that_nobody_opened_go_with_the_last_client()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "descriptors are passed on Linux");
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        string path = host.Directory.File("passed", 4096);
        await using (QmpClient client = await host.ConnectAsync())
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite), same = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite);
            await client.ExecuteWithDescriptorAsync("add-fd", new() { ["fdset-id"] = 1 }, file, Cancellation);
            await client.ExecuteWithDescriptorAsync("add-fd", new() { ["fdset-id"] = 2 }, same, Cancellation);
            await client.ExecuteAsync(
                "blockdev-add", new() { ["driver"] = "file", ["node-name"] = "n", ["filename"] = "/dev/fdset/2" }, Cancellation);
        }

        await Patience.UntilAsync(() => host.Context.Clients.IsEmpty, "the client is gone");
        await using QmpClient next = await host.ConnectAsync();
        JsonArray left = [];
        await Patience.UntilAsync(async () => (left = (await next.ExecuteAsync("query-fdsets", cancellationToken: Cancellation))!.AsArray()).Count < 2, "the unused set is gone");
        Assert.Equal(2, (int)Assert.Single(left)!["fdset-id"]!);
    }

    [Fact]
    public async Task Named_descriptors_come_and_go()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "descriptors are passed on Linux");
        await using QmpTestHost host = await QmpTestHost.StartAsync();
        await using QmpClient client = await host.ConnectAsync();
        using SafeFileHandle file = File.OpenHandle("/dev/null");
        await client.ExecuteWithDescriptorAsync("getfd", new() { ["fdname"] = "f" }, file, Cancellation);
        await client.ExecuteAsync("closefd", new() { ["fdname"] = "f" }, Cancellation);
        await RefusedAsync("File descriptor named 'f' not found", () => client.ExecuteAsync("closefd", new() { ["fdname"] = "f" }, Cancellation));
        await RefusedAsync("No file descriptor supplied via SCM_RIGHTS", () => client.ExecuteAsync("getfd", new() { ["fdname"] = "f" }, Cancellation));
        await RefusedAsync("Parameter 'fdname' expects a name not starting with a digit",
            () => client.ExecuteWithDescriptorAsync("getfd", new() { ["fdname"] = "1f" }, file, Cancellation));
    }

    private static async Task RefusedAsync(string error, Func<Task> action) => Assert.Equal(error, (await Assert.ThrowsAsync<QmpException>(action)).Message);

    private static Task<JsonNode?> AddAsync(QmpClient client, string options)
        => client.ExecuteAsync("object-add", (JsonObject)JsonNode.Parse(options)!, Cancellation);
}
