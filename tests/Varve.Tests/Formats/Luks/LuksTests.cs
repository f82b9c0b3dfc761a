using System.Security.Cryptography;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Luks;

/// <summary>The <c>luks</c> driver through the tools: each side reads what the other wrote.</summary>
public sealed class LuksTests : IDisposable
{
    private static readonly string[] s_secret = ["--object", "secret,id=s,data=123456"];

    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData(",cipher-alg=aes-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=sha256,hash-alg=sha1")]
    [InlineData(",cipher-mode=ecb,hash-alg=sha512")]
    [InlineData(",cipher-mode=ctr,hash-alg=md5")]
    [InlineData(",cipher-alg=aes-128,ivgen-alg=plain,hash-alg=sha384")]
    [InlineData(",cipher-alg=aes-192")]
    public async Task Each_side_reads_what_the_other_wrote(string options)
    {
        byte[] data = RandomNumberGenerator.GetBytes(3 << 20);
        await File.WriteAllBytesAsync(_folder["data"], data, TestContext.Current.CancellationToken);

        await OursAsync("convert", "-f", "raw", "-O", "luks", "-o", "key-secret=s,iter-time=10" + options, _folder["data"], _folder["ours"]);
        await TheirsAsync("convert", "-O", "raw", "--image-opts", Opts("ours"), _folder["back"]);
        Assert.Equal(data, await File.ReadAllBytesAsync(_folder["back"], TestContext.Current.CancellationToken));
        Assert.Equal(
            await TheirsAsync("info", _folder["ours"]), WithoutChildren(await OursAsync("info", _folder["ours"])));

        await TheirsCreateAsync("convert", "-f", "raw", "-O", "luks", "-o", "key-secret=s,iter-time=10" + options, _folder["data"], _folder["theirs"]);
        await OursAsync("convert", "-O", "raw", "--image-opts", Opts("theirs"), _folder["back2"]);
        Assert.Equal(data, await File.ReadAllBytesAsync(_folder["back2"], TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Cryptsetup_knows_our_header_and_we_know_its()
    {
        Tool.Need("cryptsetup");
        await OursAsync("create", "-f", "luks", "-o", "key-secret=s,iter-time=10", _folder["ours"], "1M");
        Tool.Result dump = await Tool.RunAsync("cryptsetup", "luksDump", _folder["ours"]);
        Assert.Equal(0, dump.ExitCode);
        Assert.Contains("Key Slot 0: ENABLED", dump.Output);
        Assert.Contains("xts-plain64", dump.Output);

        await File.WriteAllBytesAsync(_folder["theirs"], new byte[4 << 20], TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(_folder["pw"], "123456", TestContext.Current.CancellationToken);
        Tool.Result format = await Tool.RunAsync(
            "cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations", "1000", _folder["theirs"], _folder["pw"]);
        Assert.True(format.ExitCode == 0, format.Error);
        await OursAsync("compare", "--image-opts", Opts("theirs"), Opts("theirs"));
    }

    [Fact]
    public async Task Without_the_right_secret_nothing_is_read()
    {
        await OursAsync("create", "-f", "luks", "-o", "key-secret=s,iter-time=10", _folder["a"], "1M");
        async Task FailsAsync(string message, string image, params string[] objects)
        {
            ToolRun run = await ToolRun.ImgAsync(["map", .. objects, "--image-opts", image]);
            Assert.Equal((1, $"qemu-img: Could not open '{image}': {message}\n"), (run.ExitCode, run.Error));
        }

        await FailsAsync("Parameter 'key-secret' is required for cipher", $"driver=luks,file.filename={_folder["a"]}");
        await FailsAsync("No secret with id 's'", Opts("a"));
        await FailsAsync("Invalid password, cannot unlock any keyslot", Opts("a"), "--object", "secret,id=s,data=1234567");
        await OursAsync("info", _folder["a"]);
    }

    [Fact]
    public async Task A_failed_creation_leaves_no_file()
    {
        await File.WriteAllBytesAsync(_folder["bad"], [0x6D, 0x94, 0x80], TestContext.Current.CancellationToken);
        foreach (bool exists in new[] { false, true })
        {
            if (exists) await File.WriteAllTextAsync(_folder["vol"], "old", TestContext.Current.CancellationToken);
            ToolRun run = await ToolRun.ImgAsync(
                "create", "--object", $"secret,id=s,file={_folder["bad"]}", "-f", "luks", "-o", "key-secret=s,iter-time=10", _folder["vol"], "4M");
            Assert.Equal((1, $"qemu-img: {_folder["vol"]}: Data from secret s is not valid UTF-8\n"), (run.ExitCode, run.Error));
            Assert.False(File.Exists(_folder["vol"]));
        }
    }

    [Fact]
    public async Task A_detached_header_opens_a_file_that_is_all_payload()
    {
        byte[] data = RandomNumberGenerator.GetBytes(1 << 20);
        await File.WriteAllBytesAsync(_folder["data"], data, TestContext.Current.CancellationToken);
        await OursAsync("create", "-f", "luks", "-o", "key-secret=s,iter-time=10,detached-header=on", _folder["header"]);
        await OursAsync("create", "-f", "raw", _folder["payload"], "1M");
        string image = $"{Opts("payload")},header.filename={_folder["header"]}";
        await OursAsync("convert", "-n", "--target-image-opts", "-f", "raw", _folder["data"], image);

        Assert.Equal(1 << 20, new FileInfo(_folder["payload"]).Length);
        Assert.NotEqual(data, await File.ReadAllBytesAsync(_folder["payload"], TestContext.Current.CancellationToken));
        await OursAsync("convert", "-O", "raw", "--image-opts", image, _folder["back"]);
        Assert.Equal(data, await File.ReadAllBytesAsync(_folder["back"], TestContext.Current.CancellationToken));
        Assert.Contains("\"detached-header\": true", await OursAsync("info", "--output=json", "--image-opts", image));
    }

    [Fact]
    public async Task Zeros_are_written_encrypted_into_a_new_volume()
    {
        await OursAsync("create", "-f", "raw", _folder["zeros"], "1M");
        await OursAsync("convert", "-f", "raw", "-O", "luks", "-o", "key-secret=s,iter-time=10", _folder["zeros"], _folder["a"]);
        await OursAsync("compare", "--image-opts", $"driver=raw,file.filename={_folder["zeros"]}", Opts("a"));
    }

    private string Opts(string name) => $"driver=luks,file.filename={_folder[name]},key-secret=s";

    private static string WithoutChildren(string info) => info[..info.IndexOf("Child node", StringComparison.Ordinal)];

    private static async Task<string> OursAsync(string verb, params string[] arguments)
    {
        ToolRun run = await ToolRun.ImgAsync([verb, .. s_secret, .. arguments]);
        Assert.True(run.ExitCode == 0, run.Output + run.Error);
        return run.Output;
    }

    private static async Task<string> TheirsAsync(string verb, params string[] arguments)
    {
        ToolRun run = await ToolRun.ReferenceAsync("qemu-img", [verb, .. s_secret, .. arguments]);
        Assert.True(run.ExitCode == 0, run.Error);
        return run.Output;
    }

    /// <summary>The reference's timing of key derivation gives up now and then on a busy machine.</summary>
    private static async Task TheirsCreateAsync(string verb, params string[] arguments)
    {
        ToolRun run;
        do run = await ToolRun.ReferenceAsync("qemu-img", [verb, .. s_secret, .. arguments]);
        while (run.Error.Contains("Unable to get accurate CPU usage", StringComparison.Ordinal));
        Assert.True(run.ExitCode == 0, run.Error);
    }
}
