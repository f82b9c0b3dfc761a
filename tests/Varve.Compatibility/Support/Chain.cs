using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Compatibility.Support;

/// <summary>base.qcow2 &lt;- mid.qcow2 &lt;- top.qcow2, made and filled by the reference's tools, each naming its neighbour.</summary>
internal static class Chain
{
    /// <summary>Makes the chain: the base half full, the middle with a quarter of its own, the top with a few clusters.</summary>
    public static async Task MakeAsync(string directory, long size = 16 << 20, string? midNames = null)
    {
        Directory.CreateDirectory(directory);
        string mib = (size >> 20).ToString(CultureInfo.InvariantCulture);
        await ImgAsync(directory, "create", "-q", "-f", "qcow2", "base.qcow2", $"{mib}M");
        await WriteAsync(directory, "base.qcow2", $"write -P 0x11 0 {size / 2}");
        await ImgAsync(directory, "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "mid.qcow2");
        await WriteAsync(directory, "mid.qcow2", $"write -P 0x22 {size / 4} {size / 4}", $"write -z {size / 8} 128k");
        if (midNames is not null) await ImgAsync(directory, "rebase", "-u", "-b", midNames, "-F", "qcow2", "mid.qcow2");
        await ImgAsync(directory, "create", "-q", "-f", "qcow2", "-u", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2", $"{mib}M");
        if (midNames is null) await WriteAsync(directory, "top.qcow2", "write -P 0x33 1M 192k", "write -P 0x44 3145700 77");
    }

    /// <summary>What the reference's tool says of an image's backing chain, top first.</summary>
    public static async Task<JsonArray> InfoAsync(string image, string? workingDirectory = null)
        => (JsonArray)JsonNode.Parse((await Tool.QemuImg.RunInAsync(
            workingDirectory ?? Path.GetDirectoryName(image)!, "info", "--backing-chain", "--output=json", "-U", image)).Succeeded)!;

    /// <summary>The backing file name an image's header records, by the reference's tool.</summary>
    public static async Task<string?> RecordedAsync(string image)
        => (string?)JsonNode.Parse((await Tool.QemuImg.RunAsync("info", "--output=json", "-U", image)).Succeeded)!["backing-filename"];

    /// <summary>The first cluster of an image.</summary>
    public static byte[] Header(string image)
    {
        using FileStream file = new(image, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        byte[] header = new byte[Math.Min(file.Length, 65536)];
        file.ReadExactly(header);
        return header;
    }

    private static async Task ImgAsync(string directory, params string[] arguments)
        => (await Tool.QemuImg.RunInAsync(directory, arguments)).Succeeded.ToString();

    private static async Task WriteAsync(string directory, string image, params string[] commands)
        => (await Tool.QemuIO.RunInAsync(directory, ["-f", "qcow2", .. commands.SelectMany(c => new[] { "-c", c }), image])).Succeeded.ToString();
}
