using Varve.Tests.Cli;

namespace Varve.Tests.Formats.Luks;

/// <summary>Key slots through <c>img amend</c>, in a volume of its own and inside qcow2; the reference opens what is left.</summary>
public sealed class LuksAmendTests : IDisposable
{
    private static readonly string[] s_secrets =
        [.. Enumerable.Range(0, 4).SelectMany(i => new[] { "--object", $"secret,id=s{i},data=hunter{i}" })];

    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string, string> Formats => new() { { "luks", "" }, { "qcow2", "encrypt." } };

    [Theory]
    [MemberData(nameof(Formats))]
    public async Task Keys_come_and_go_and_the_last_one_stays(string format, string prefix)
    {
        string image = await CreateAsync(format, prefix);
        await AmendAsync(0, 0, "state=active,new-secret=s1,keyslot=4,iter-time=10");
        await AmendAsync(0, 1, "state=active,new-secret=s2,iter-time=10");
        foreach (int i in new[] { 0, 1, 2 }) Assert.True(await OpensAsync(i), $"secret {i}");
        await AmendAsync(0, 1, "state=inactive,keyslot=0");
        Assert.False(await OpensAsync(0));
        await AmendAsync(0, 1, "state=inactive,old-secret=s2");
        Assert.False(await OpensAsync(2));
        Assert.True(await OpensAsync(1));

        await FailsAsync(1, "state=inactive,keyslot=4",
            "Attempt to erase the only active keyslot 4 which will erase all the data in the image irreversibly - refusing operation");
        await FailsAsync(1, "state=inactive,old-secret=s1",
            "All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image irreversibly"
            + " - refusing operation");
        await FailsAsync(1, "state=inactive,old-secret=s3", "No keyslots match given (old) password for erase operation");
        await FailsAsync(1, "state=inactive,keyslot=4,old-secret=s3", "Given keyslot 4 doesn't contain the given old password for erase operation");
        await FailsAsync(1, "state=inactive,keyslot=0", "Given keyslot 0 is already erased (inactive) ");
        await FailsAsync(1, "state=inactive,keyslot=8", "Invalid keyslot 8 specified, must be between 0 and 7");
        await FailsAsync(1, "state=inactive",
            "To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given");
        await FailsAsync(1, "state=inactive,keyslot=4,new-secret=s1", "'new-secret' must not be given when erasing keyslots");
        await FailsAsync(1, "state=inactive,keyslot=4,iter-time=1", "'iter-time' must not be given when erasing keyslots");
        await FailsAsync(1, "state=active", "'new-secret' is required to activate a keyslot");
        await FailsAsync(1, "state=active,new-secret=s2,old-secret=s1", "'old-secret' must not be given when activating keyslots");
        await FailsAsync(1, "state=active,new-secret=s2,keyslot=4", "Refusing to overwrite active keyslot 4 - please erase it first");
        await FailsAsync(1, "state=inactive,old-secret=s5", "No secret with id 's5'");

        await AmendAsync(0, 1, "state=active,new-secret=s3,keyslot=4,iter-time=10", "--force");
        Assert.False(await OpensAsync(1));
        Assert.True(await OpensAsync(3));
        Assert.Equal(1, (await ToolRun.ImgAsync("info", _folder["a"])).Output.Split("active: true").Length - 1);
        await AmendAsync(0, 3, "state=inactive,keyslot=4", "--force");
        Assert.False(await OpensAsync(3));

        string Opts(int secret) => $"driver={format},file.filename={_folder["a"]},{prefix}key-secret=s{secret}";
        string Options(string options) => string.Join(',', options.Split(',').Select(o => prefix + o));
        async Task AmendAsync(int exitCode, int secret, string options, params string[] more)
        {
            ToolRun run = await ToolRun.ImgAsync(["amend", .. s_secrets, .. more, "--image-opts", "-o", Options(options), Opts(secret)]);
            Assert.True(run.ExitCode == exitCode, run.Error);
        }

        async Task FailsAsync(int secret, string options, string message)
        {
            byte[] before = await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken);
            ToolRun run = await ToolRun.ImgAsync(["amend", .. s_secrets, "--image-opts", "-o", Options(options), Opts(secret)]);
            Assert.Equal((1, $"qemu-img: {message}\n"), (run.ExitCode, run.Error));
            Assert.Equal(before, await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken));
        }

        async Task<bool> OpensAsync(int secret)
        {
            ToolRun ours = await ToolRun.ImgAsync(["compare", .. s_secrets, "--image-opts", Opts(secret), Opts(secret)]);
            ToolRun theirs = await ToolRun.ReferenceAsync("qemu-img", ["compare", .. s_secrets, "--image-opts", Opts(secret), Opts(secret)]);
            Assert.Equal(theirs.ExitCode, ours.ExitCode);
            return ours.ExitCode == 0;
        }
    }

    [Fact]
    public async Task Eight_keys_fit_and_no_more()
    {
        await CreateAsync("luks", "");
        string opts = $"driver=luks,file.filename={_folder["a"]},key-secret=s0";
        string[] amend = ["amend", .. s_secrets, "--image-opts", "-o", "state=active,new-secret=s1,iter-time=10", opts];
        for (int i = 1; i < 8; i++) Assert.Equal(0, (await ToolRun.ImgAsync(amend)).ExitCode);
        ToolRun full = await ToolRun.ImgAsync(amend);
        Assert.Equal((1, "qemu-img: Can't add a keyslot - all keyslots are in use\n"), (full.ExitCode, full.Error));
    }

    [Fact]
    public async Task Erased_key_material_is_gone_even_if_an_old_header_comes_back()
    {
        string image = await CreateAsync("luks", "");
        string Opts(int secret) => $"driver=luks,file.filename={_folder["a"]},key-secret=s{secret}";
        await ToolRun.ImgAsync(["amend", .. s_secrets, "--image-opts", "-o", "state=active,new-secret=s1,keyslot=1,iter-time=10", Opts(0)]);
        byte[] header = (await File.ReadAllBytesAsync(image, TestContext.Current.CancellationToken))[..4096];
        ToolRun erase = await ToolRun.ImgAsync(["amend", .. s_secrets, "--image-opts", "-o", "state=inactive,keyslot=0", Opts(1)]);
        Assert.Equal(0, erase.ExitCode);
        await using (FileStream file = File.OpenWrite(image)) await file.WriteAsync(header, TestContext.Current.CancellationToken);
        ToolRun open = await ToolRun.ImgAsync(["map", .. s_secrets, "--image-opts", Opts(0)]);
        Assert.Contains("Invalid password, cannot unlock any keyslot", open.Error);
    }

    [Theory]
    [InlineData("luks"), InlineData("qcow2")]
    public async Task Help_lists_what_can_be_amended_as_the_reference_does(string format)
        => Assert.Equal(
            (await ToolRun.ReferenceAsync("qemu-img", "amend", "-f", format, "-o", "help")).Output,
            (await ToolRun.ImgAsync("amend", "-f", format, "-o", "help")).Output);

    private async Task<string> CreateAsync(string format, string prefix)
    {
        string luks = format == "luks" ? "" : "encrypt.format=luks,";
        ToolRun create = await ToolRun.ImgAsync(
            ["create", .. s_secrets, "-f", format, "-o", $"{luks}{prefix}key-secret=s0,{prefix}iter-time=10", _folder["a"], "1M"]);
        Assert.True(create.ExitCode == 0, create.Error);
        return _folder["a"];
    }
}
