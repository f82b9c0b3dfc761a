using System.Security.Cryptography;

namespace Varve.Compatibility.Support;

/// <summary>A directory of the test's own; gone with everything in it when disposed.</summary>
internal sealed class TempDirectory : IDisposable
{
    private readonly string _path = Directory.CreateTempSubdirectory("varve-").FullName;

    /// <summary>The path of <paramref name="name"/> in it.</summary>
    public string this[string name] => Path.Combine(_path, name);

    public override string ToString() => _path;

    /// <summary>A raw file of repeatable noise.</summary>
    public string Noise(string name, long length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        File.WriteAllBytes(this[name], bytes);
        return this[name];
    }

    public void Dispose()
    {
        try
        {
            Directory.Delete(_path, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
        }
    }
}

/// <summary>Checksums of guest data, computed by the reference's tools.</summary>
internal static class GuestData
{
    /// <summary>SHA-256 of what the reference reads from an image and its chain.</summary>
    public static async Task<string> Sha256Async(string image, string format = "qcow2")
    {
        string raw = image + ".guest-data";
        (await Tool.QemuImg.RunAsync("convert", "-f", format, "-O", "raw", image, raw)).Succeeded.ToString();
        await using FileStream file = File.OpenRead(raw);
        byte[] hash = await SHA256.HashDataAsync(file);
        File.Delete(raw);
        return Convert.ToHexStringLower(hash);
    }
}
