using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;

namespace Varve.Benchmarks;

/// <summary>An open image in a folder of its own, full of data, with a guest's backend on it.</summary>
internal sealed class TestDisk : IAsyncDisposable
{
    private const int Fill = 1 << 20, Cluster = 65536;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("varve-benchmarks-");
    private readonly BlockGraph _graph = new();
    private readonly IOBuffer _buffer = IOBuffer.Rent(Fill);
    private readonly AutoResetEvent _ended = new(false);
    private readonly Action _onEnded;

    private TestDisk() => _onEnded = () => _ended.Set();

    public BlockBackend Backend { get; private set; } = null!;

    public BlockGraph Graph => _graph;

    /// <summary>Memory that O_DIRECT takes.</summary>
    public Memory<byte> Memory(int length) => _buffer.Memory[..length];

    public string this[string name] => Path.Combine(_folder.FullName, name);

    /// <summary>Makes an image and opens it.</summary>
    /// <param name="kind"><c>raw</c>, <c>qcow2</c> and so on, as the benchmarks name them.</param>
    /// <param name="size">Bytes.</param>
    public static async Task<TestDisk> CreateAsync(string kind, long size)
    {
        var disk = new TestDisk();
        string path = await disk.CreateImageAsync(kind, size).ConfigureAwait(false);
        var file = new JsonObject { ["driver"] = "file", ["filename"] = path };
        if (kind.Contains("direct", StringComparison.Ordinal)) file["cache"] = new JsonObject { ["direct"] = true };
        if (kind.Contains("io_uring", StringComparison.Ordinal)) file["aio"] = "io_uring";
        var node = new JsonObject { ["driver"] = kind.Split(',')[0], ["node-name"] = "disk", ["file"] = file };
        if (kind.Contains("small caches", StringComparison.Ordinal)) (node["l2-cache-size"], node["refcount-cache-size"]) = (256L << 10, 256L << 10);
        await disk.OpenAsync(node).ConfigureAwait(false);
        if (!kind.Contains("zeros", StringComparison.Ordinal) && !kind.Contains("chain", StringComparison.Ordinal)) await disk.FillAsync(size, _ => true).ConfigureAwait(false);
        return disk;
    }

    /// <summary>Waits for a request to end; allocates nothing, where <c>await</c> would.</summary>
    public void Wait(ValueTask request)
    {
        ConfiguredValueTaskAwaitable.ConfiguredValueTaskAwaiter awaiter = request.ConfigureAwait(false).GetAwaiter();
        if (!awaiter.IsCompleted)
        {
            awaiter.UnsafeOnCompleted(_onEnded);
            _ended.WaitOne();
        }

        awaiter.GetResult();
    }

    /// <summary>The same for one with a result.</summary>
    public T Wait<T>(ValueTask<T> request)
    {
        ConfiguredValueTaskAwaitable<T>.ConfiguredValueTaskAwaiter awaiter = request.ConfigureAwait(false).GetAwaiter();
        if (!awaiter.IsCompleted)
        {
            awaiter.UnsafeOnCompleted(_onEnded);
            _ended.WaitOne();
        }

        return awaiter.GetResult();
    }

    public async ValueTask DisposeAsync()
    {
        if (Backend is not null)
        {
            using (await _graph.ControlLock.EnterAsync().ConfigureAwait(false)) await Backend.CloseAsync().ConfigureAwait(false);
        }

        await _graph.DisposeAsync().ConfigureAwait(false);
        _buffer.Dispose();
        _ended.Dispose();
        _folder.Delete(recursive: true);
    }

    /// <summary>Creates the image, or a chain in which every image holds its share of the clusters.</summary>
    private async Task<string> CreateImageAsync(string kind, long size)
    {
        var layer = new BlockLayer();
        await using (layer.ConfigureAwait(false))
        {
            string format = kind.Split(',')[0];
            string? below = null;
            int depth = kind switch { "qcow2, chain of 2" => 2, "qcow2, chain of 64" => 64, _ => 1 };
            for (int i = 0; i < depth; i++)
            {
                string image = this[$"{i}.{format}"];
                await layer.CreateAsync(image, new NewImage { Format = format, Size = size, BackingFile = below, BackingFormat = below is null ? null : format }).ConfigureAwait(false);
                below = image;
                if (depth == 1) continue;
                await OpenAsync(new JsonObject { ["driver"] = format, ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = image } }).ConfigureAwait(false);
                await FillAsync(size, cluster => cluster % depth == i).ConfigureAwait(false);
                using (await _graph.ControlLock.EnterAsync().ConfigureAwait(false)) await Backend.CloseAsync().ConfigureAwait(false);
            }

            return below!;
        }
    }

    private async Task OpenAsync(JsonObject options)
    {
        using IDisposable held = await _graph.ControlLock.EnterAsync().ConfigureAwait(false);
        BlockNode node = await _graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything }).ConfigureAwait(false);
        Backend = await _graph.OpenBackendAsync(node, BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions.All, "the guest").ConfigureAwait(false);
        await _graph.ReleaseAsync(node).ConfigureAwait(false);
    }

    private async Task FillAsync(long size, Func<int, bool> isOwn)
    {
        new Random(1).NextBytes(_buffer.Memory.Span);
        for (int cluster = 0; (long)cluster * Cluster < size; cluster++)
        {
            if (isOwn(cluster)) await Backend.WriteAsync((long)cluster * Cluster, Memory(Cluster)).ConfigureAwait(false);
        }

        await Backend.FlushAsync().ConfigureAwait(false);
    }
}
