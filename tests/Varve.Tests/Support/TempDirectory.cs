namespace Varve.Tests.Support;

/// <summary>A directory of a test's own, removed with it.</summary>
internal sealed class TempDirectory : IDisposable
{
    public TempDirectory() => Path = Directory.CreateTempSubdirectory("varve-test-").FullName;

    public string Path { get; }

    /// <summary>The path of a file in it.</summary>
    public string this[string name] => System.IO.Path.Combine(Path, name);

    /// <summary>A file of zeros, without blocks where the file system can.</summary>
    public string File(string name, long length)
    {
        using FileStream file = System.IO.File.Create(this[name]);
        file.SetLength(length);
        return this[name];
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
