using BenchmarkDotNet.Attributes;
using Varve.Nbd.Server;

namespace Varve.Benchmarks;

/// <summary>Requests over a unix socket to our server in the same process.</summary>
public class NbdServerBenchmarks : IAsyncDisposable
{
    private const int Requests = 4096, Depth = 16, Block = 4096, LargeRequests = 64, LargeDepth = 4, LargeBlock = 1 << 20;
    private const long Size = 64 << 20;

    private TestDisk _disk = null!;
    private ExportRegistry _exports = null!;
    private RawNbdClient _client = null!, _largeClient = null!;
    private int _first;
    private Func<int, long> _offsetOf = null!, _largeOffsetOf = null!;

    [Params("raw", "qcow2", "raw, direct", "raw, direct, io_uring", "qcow2, direct", "qcow2, direct, io_uring")]
    public string Image { get; set; } = "";

    [GlobalSetup]
    public async Task SetUpAsync()
    {
        _offsetOf = i => (long)(_first + i) * 7919 % (Size / Block) * Block;
        _largeOffsetOf = i => (long)(_first + i) * LargeBlock;
        _disk = await TestDisk.CreateAsync(Image, Size).ConfigureAwait(false);
        _exports = new ExportRegistry(_disk.Graph);
        using (await _disk.Graph.ControlLock.EnterAsync().ConfigureAwait(false))
        {
            _exports.SetNbdServer(NbdServer.ListenUnix(_disk["socket"]));
            await _exports.AddAsync(new NbdExportOptions { Id = "disk", Node = _disk.Backend.Node, Name = "", Writable = true }).ConfigureAwait(false);
        }

        _client = new RawNbdClient(_disk["socket"], Depth, Block);
        _largeClient = new RawNbdClient(_disk["socket"], LargeDepth, LargeBlock);
    }

    [GlobalCleanup]
    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        await _client.DisposeAsync().ConfigureAwait(false);
        await _largeClient.DisposeAsync().ConfigureAwait(false);
        using (await _disk.Graph.ControlLock.EnterAsync().ConfigureAwait(false)) await _exports.StopNbdServerAsync().ConfigureAwait(false);
        await _disk.DisposeAsync().ConfigureAwait(false);
    }

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Read4k() => Run(command: 0);

    [Benchmark(OperationsPerInvoke = Requests)]
    public void Write4k() => Run(command: 1);

    [Benchmark(OperationsPerInvoke = LargeRequests)]
    public void Write1m()
    {
        for (_first = 0; _first < LargeRequests; _first += LargeDepth) _largeClient.Run(command: 1, _largeOffsetOf);
    }

    private void Run(ushort command)
    {
        for (_first = 0; _first < Requests; _first += Depth) _client.Run(command, _offsetOf);
    }
}
