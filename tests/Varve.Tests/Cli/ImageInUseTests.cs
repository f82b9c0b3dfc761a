using System.Diagnostics;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>An image that another process writes to: what each verb says of it.</summary>
public sealed class ImageInUseTests : IDisposable
{
    private const string Read = "Option -U reads it all the same; what is being written meanwhile may show half done.";
    private const string Wait = "Try again when it is closed, or stop who has it open.";
    private const string Stop = "Stop who has it open first, or have that process make the change: a running QEMU or storage daemon does it over QMP.";
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Every_verb_names_who_uses_the_image_and_what_to_do_and_reads_it_with_U()
    {
        string image = _folder["a.qcow2"], other = _folder.Raw("b.raw", 1.MiB);
        Assert.Equal(0, (await ToolRun.ReferenceAsync("qemu-img", "create", "-q", "-f", "qcow2", image, "1M")).ExitCode);
        using Process holder = Tool.Start("qemu-io", "-f", "qcow2", image);
        await holder.StandardInput.WriteLineAsync("write -P 7 0 64k");
        await holder.StandardInput.FlushAsync(TestContext.Current.CancellationToken);
        while (await holder.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) is { } line && !line.Contains("65536/65536", StringComparison.Ordinal)) { }

        foreach (string verb in new[] { "info", "map", "check", "measure -O raw", "snapshot -l", $"compare {other}", "bench -c 1", $"convert -O raw @ {other}", $"dd if=@ of={other}" })
        {
            await SaysAsync(verb, Read, holder.Id);
            if (!verb.StartsWith("dd", StringComparison.Ordinal)) Assert.Equal("", (await ToolRun.ImgAsync(Arguments(verb, "-U"))).Error);
        }

        foreach (string verb in new[] { "amend -o lazy_refcounts=on", "bitmap --add @ b", "check -r all", "commit", "rebase -u -b ''", "resize @ 2M", "snapshot -c s" })
        {
            await SaysAsync(verb, Stop, holder.Id);
        }

        Assert.Contains(Read, (await ToolRun.IoAsync(["-f", "qcow2", "-r", "-c", "length", image])).Error, StringComparison.Ordinal);
        Assert.Contains(Stop, (await ToolRun.IoAsync(["-f", "qcow2", "-c", "length", image])).Error, StringComparison.Ordinal);
        Assert.Contains(Wait, (await ToolRun.ImgAsync("bitmap", "--merge", "x", "-b", image, "-F", "qcow2", "-f", "raw", other, "y")).Error, StringComparison.Ordinal);
        holder.StandardInput.Close();
        await holder.WaitForExitAsync(TestContext.Current.CancellationToken);

        string[] Arguments(string verb, string more = "")
        {
            List<string> words = [.. verb.Split(' ').Select(w => w == "''" ? "" : w.Replace("@", image, StringComparison.Ordinal))];
            if (more.Length > 0) words.Insert(1, more);
            if (!verb.Contains('@', StringComparison.Ordinal)) words.Add(image);
            return [.. words];
        }

        async Task SaysAsync(string verb, string advice, int holderId)
        {
            ToolRun run = await ToolRun.ImgAsync(Arguments(verb)), reference = await ToolRun.ReferenceAsync("qemu-img", Arguments(verb));
            string ours = $"It is locked by process {holderId} (qemu-io).\n{advice}\n";
            Assert.Contains(ours, run.Error, StringComparison.Ordinal);
            Assert.Equal((verb, reference.ExitCode, reference.Error), (verb, run.ExitCode, run.Error.Replace(ours, "", StringComparison.Ordinal)));
        }
    }
}
