using BenchmarkDotNet.Attributes;
using Varve.Jobs;

namespace Varve.Benchmarks;

/// <summary>Requests through a backend into nodes. The data is in the page cache, the tables in the node's caches.</summary>
public class NodeBenchmarks
{
    private const int Requests = 4096, LargeRequests = 64, Block = 4096, Large = 1 << 20;
    private const long Size = 64 << 20;

    private TestDisk _disk = null!;

    [ParamsSource(nameof(Images))]
    public string Image { get; set; } = "";

    /// <summary>What is measured.</summary>
    public virtual IEnumerable<string> Images => ["raw", "qcow2", "qcow2, chain of 2", "qcow2, chain of 64", "qcow2, zeros"];

    [GlobalSetup]
    public async Task SetUpAsync() => _disk = await TestDisk.CreateAsync(Image, Size).ConfigureAwait(false);

    [GlobalCleanup]
    public async Task CleanUpAsync() => await _disk.DisposeAsync().ConfigureAwait(false);

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Read4k()
    {
        for (int i = 0; i < Requests; i++) _disk.Wait(_disk.Backend.ReadAsync(Offset(i), _disk.Memory(Block)));
    }

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Write4k()
    {
        for (int i = 0; i < Requests; i++) _disk.Wait(_disk.Backend.WriteAsync(Offset(i), _disk.Memory(Block)));
    }

    [Benchmark(OperationsPerInvoke = LargeRequests)]
    public void Read1M()
    {
        for (int i = 0; i < LargeRequests; i++) _disk.Wait(_disk.Backend.ReadAsync(i % (Size / Large) * Large, _disk.Memory(Large)));
    }

    /// <summary>All over the disk, and not in order.</summary>
    private static long Offset(int request) => (long)request * 7919 % (Size / Block) * Block;
}

/// <summary>The same past the page cache: every request waits for the device, and ends on another thread than it began on.</summary>
public class DirectBenchmarks : NodeBenchmarks
{
    public override IEnumerable<string> Images => ["raw, direct", "raw, direct, io_uring", "qcow2, direct", "qcow2, direct, io_uring"];
}

/// <summary>Writes to clusters that the image does not have yet: each allocates one. The caches are full after the first of them: until they
/// are, the tables' memory is what a write allocates.</summary>
public class AllocatingBenchmarks
{
    private const int Requests = 4096, Block = 4096;
    private const long Size = 1L << 40, Cluster = 64 << 10;

    private TestDisk _disk = null!;
    private long _next;

    [Params("qcow2, zeros, small caches", "qcow2, zeros, small caches, direct")]
    public string Image { get; set; } = "";

    [GlobalSetup]
    public async Task SetUpAsync() => _disk = await TestDisk.CreateAsync(Image, Size).ConfigureAwait(false);

    [GlobalCleanup]
    public async Task CleanUpAsync() => await _disk.DisposeAsync().ConfigureAwait(false);

    [Benchmark(OperationsPerInvoke = Requests)]
    public void InOrder()
    {
        for (int i = 0; i < Requests; i++) _disk.Wait(_disk.Backend.WriteAsync(_next++ * Cluster, _disk.Memory(Block)));
    }
}

/// <summary>Chunks of a job that copies, read only: what copying costs beside its requests.</summary>
public class CopyBenchmarks
{
    private const int Chunks = 1024, Chunk = 64 << 10;
    private const long Size = 64 << 20;

    private TestDisk _disk = null!;
    private CopyWindow _window = null!;

    [Params("raw", "raw, direct")]
    public string Image { get; set; } = "";

    [GlobalSetup]
    public async Task SetUpAsync()
    {
        _disk = await TestDisk.CreateAsync(Image, Size).ConfigureAwait(false);
        _window = new CopyWindow(_disk.Graph, _disk.Backend.Node, chunk => _disk.Backend.ReadAsync(chunk.Offset, _disk.Memory(Chunk)));
    }

    [GlobalCleanup]
    public async Task CleanUpAsync() => await _disk.DisposeAsync().ConfigureAwait(false);

    [Benchmark(OperationsPerInvoke = Chunks)]
    public void CopyInOrder()
    {
        for (int i = 0; i < Chunks; i++)
        {
            while (_window.IsFull) _disk.Wait(_window.RetireAsync());
            _window.Begin(i % (Size / Chunk) * Chunk, Chunk);
        }

        while (!_window.IsEmpty) _disk.Wait(_window.RetireAsync());
    }
}
