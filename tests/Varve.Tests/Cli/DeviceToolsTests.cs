using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>The tools on a block device, side by side with the reference.</summary>
public sealed class DeviceToolsTests
{
    private static readonly string[] s_lines =
    [
        "img map --output=json @", "img create -f raw @ 1M", "img create -f raw @ 2M", "img create -f raw -o preallocation=full @ 1M", "img create -f raw -o help @",
        "img create -f raw -o nocow=on host_device:@ 1M", "img create -f raw host_device:/proc/self/status 1M", "img create -f qcow2 @ 64M", "img check @",
        "img resize -f raw @ 2M", "img resize -f raw --shrink @ 64k", "img resize -f raw @ +0", "img create -f qcow2 host_device:/dev/none 1M",
        "img create -f raw host_cdrom:@ 1M", "img create -f raw /dev/null 1M", "img create -f raw null-co:// 1M", "img measure -O raw @",
        "io -c length /dev/null", "io -r -f raw -c length @", "io -f host_cdrom -c write;0;512 @", "io -f raw -c write;-q;-P;7;0;1M @", "io -f raw -c read;-q;-P;7;0;1M @",
        "io -c open;-o;driver=file,filename=@", "io -c open;-o;driver=host_device,filename=/dev/null,locking=off;-r",
    ];

    [Fact]
    public async Task Lines_about_a_device_end_as_with_the_reference()
    {
        using LoopDevice theirs = LoopDevice.Make(1.MiB), ours = LoopDevice.Make(1.MiB);
        foreach (string line in s_lines)
        {
            string[] words = line.Split(' ');
            ToolRun expected = await ToolRun.ReferenceAsync("qemu-" + words[0], Arguments(words, theirs));
            ToolRun actual = words[0] == "img" ? await ToolRun.ImgAsync(Arguments(words, ours)) : await ToolRun.IoAsync(Arguments(words, ours));
            Assert.Equal((line, Comparable(expected, theirs)), (line, Comparable(actual, ours)));
        }
    }

    private static string[] Arguments(string[] words, LoopDevice device)
        => [.. words[1..].Select(w => w.Replace(';', ' ').Replace("@", device.DevicePath, StringComparison.Ordinal))];

    private static ToolRun Comparable(ToolRun run, LoopDevice device) => run with
    {
        Output = run.Output.Replace(device.DevicePath, "@", StringComparison.Ordinal).Replace(", \"compressed\": false", "", StringComparison.Ordinal),   // 7.2 does not say
        Error = run.Error.Replace(device.DevicePath, "@", StringComparison.Ordinal),
    };
}
