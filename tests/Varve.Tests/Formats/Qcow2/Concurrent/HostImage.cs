using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>A qcow2 image in files of the host, with an engine and a cache mode.</summary>
internal sealed class HostImage(HostStorage storage, TimeProvider time) : ReopenedImage(new FileDriver(), time)
{
    private readonly TempDirectory _folder = new();

    public override JsonObject NodeOf(string name) => new()
    {
        ["driver"] = "file", ["filename"] = _folder[name], ["discard"] = "unmap", ["aio"] = storage.Engine,
        ["cache"] = new JsonObject { ["direct"] = storage.IsDirect, ["no-flush"] = storage.IgnoresFlushes },
    };

    public override void Put(string name, byte[] bytes) => File.WriteAllBytes(_folder[name], bytes);

    public override byte[] Get(string name) => File.ReadAllBytes(_folder[name]);

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        _folder.Dispose();
    }
}

/// <summary>How the host's files are read and written.</summary>
/// <param name="Engine">As the option <c>aio</c>.</param>
/// <param name="IsDirect">Past the host's page cache; <c>native</c> takes nothing else.</param>
/// <param name="IgnoresFlushes">Faster, and no power is lost here.</param>
internal sealed record HostStorage(string Engine, bool IsDirect, bool IgnoresFlushes)
{
    private static readonly bool s_hasDirect = HasDirect();

    public static HostStorage Draw(Random random)
    {
        bool isDirect = random.Next(2) == 0 && s_hasDirect, ignoresFlushes = random.Next(4) != 0;
        return new(isDirect ? random.Next(3) switch { 0 => "threads", 1 => "io_uring", _ => "native" } : random.Next(2) == 0 ? "threads" : "io_uring", isDirect, ignoresFlushes);
    }

    /// <summary>Whether the file system of temporary files can.</summary>
    private static bool HasDirect()
    {
        using var folder = new TempDirectory();
        try
        {
            using HostFile file = HostFile.Open(folder.File("probe", 4096), new HostFileAccess(Writable: true, Direct: true), new FdSets(), HostFileKind.Regular);
            return true;
        }
        catch (BlockException)
        {
            return false;
        }
    }
}
