using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Options;

namespace Varve.Tests.Graph;

public class RequestPathTests
{
    private const int Size = 1 << 18;

    [Fact]
    public async Task In_a_drained_section_no_request_is_in_the_node_and_afterwards_all_go_on()
    {
        (BlockGraph graph, ProbeNode node, BlockBackend disk) = await OpenAsync(alignment: 1);
        await using BlockGraph _ = graph;
        using var stop = new CancellationTokenSource();
        int[] progress = new int[4];
        Task[] workers = [.. Enumerable.Range(0, progress.Length).Select(worker => Task.Run(async () =>
        {
            byte[] buffer = new byte[512];
            while (!stop.IsCancellationRequested)
            {
                if (worker % 2 == 0) await disk.ReadAsync(0, buffer);
                else await disk.WriteAsync(worker * 512, buffer);
                Interlocked.Increment(ref progress[worker]);
            }
        }))];
        for (int round = 0; round < 200; round++)
        {
            using (await BlockGraph.DrainAsync(node))
            {
                Assert.Equal(0, node.InFlight);
                await Task.Yield();
                Assert.Equal(0, node.InFlight);
            }

            int[] before = [.. progress];
            if (round % 50 == 49) Assert.True(SpinWait.SpinUntil(() => progress.Zip(before).All(p => p.First > p.Second), TimeSpan.FromSeconds(20)));
        }

        await stop.CancelAsync();
        await Task.WhenAll(workers);
        await disk.CloseAsync();
    }

    [Fact]
    public async Task Requests_of_any_alignment_reach_the_driver_aligned_and_lose_nothing()
    {
        (BlockGraph graph, ProbeNode node, BlockBackend disk) = await OpenAsync(alignment: 512);
        await using BlockGraph _ = graph;
        byte[] model = new byte[Size];

        // Neighbours share blocks at their borders: a read-modify-write that is not alone there loses the other's bytes.
        const int Workers = 16, Stripe = 777;
        await Task.WhenAll(Enumerable.Range(0, Workers).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (int step = 0; step < 200; step++)
            {
                int start = random.Next(Stripe), length = 1 + random.Next(Stripe - start);
                Memory<byte> expected = model.AsMemory((worker * Stripe) + start, length);
                if (random.Next(3) == 0)
                {
                    expected.Span.Clear();
                    await disk.WriteZeroesAsync((worker * Stripe) + start, length);
                }
                else
                {
                    random.NextBytes(expected.Span);
                    await disk.WriteAsync((worker * Stripe) + start, expected);
                }

                byte[] actual = new byte[length];
                await disk.ReadAsync((worker * Stripe) + start, actual);
                Assert.True(expected.Span.SequenceEqual(actual), $"worker {worker}, step {step}");
            }
        })));
        Assert.Equal(model, node.Bytes);
        await disk.CloseAsync();
    }

    [Fact]
    public async Task A_block_that_is_written_whole_is_not_read_first()
    {
        (BlockGraph graph, ProbeNode node, BlockBackend disk) = await OpenAsync(alignment: 512);
        await using BlockGraph _ = graph;
        await disk.WriteAsync(512, new byte[512]);   // an array may move: copied, but nothing of the block is kept
        Assert.Equal(0, node.Reads);
        await disk.WriteAsync(512, new byte[511]);
        Assert.Equal(1, node.Reads);
        await disk.WriteAsync(100, new byte[1024]);
        Assert.Equal(3, node.Reads);
        using IOBuffer own = IOBuffer.Rent(1024);
        await disk.WriteAsync(0, own.Memory);
        Assert.Equal(3, node.Reads);
        await disk.CloseAsync();
    }

    [Fact]
    public async Task Zeros_that_have_to_be_written_out_are_flushed_once()
    {
        (BlockGraph graph, ProbeNode node, BlockBackend disk) = await OpenAsync(alignment: 1, size: 3 * IOBuffer.MaxTransfer);
        await using BlockGraph _ = graph;
        await disk.WriteZeroesAsync(0, node.Length, ZeroFlags.Fua);
        Assert.Equal((3, 1), (node.Writes, node.Flushes));
        var refused = await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteZeroesAsync(0, 4096, ZeroFlags.NoFallback));
        Assert.Equal(BlockErrorKind.Unsupported, refused.Kind);
        await disk.WriteAsync(0, new byte[512], WriteFlags.Fua);
        Assert.Equal(2, node.Flushes);
        await disk.CloseAsync();
    }

    [Fact]
    public async Task A_failed_request_leaves_the_backend_idle()
    {
        (BlockGraph graph, ProbeNode node, BlockBackend disk) = await OpenAsync(alignment: 1);
        await using BlockGraph _ = graph;
        node.Fail = true;
        await Assert.ThrowsAsync<BlockException>(async () => await disk.ReadAsync(0, new byte[512]));
        await Assert.ThrowsAsync<BlockException>(async () => await disk.WriteAsync(0, new byte[512]));
        await Assert.ThrowsAsync<BlockException>(async () => await disk.ReadAsync(node.Length, new byte[1]));
        await Assert.ThrowsAsync<BlockException>(async () => await disk.ReadAsync(-1, new byte[1]));
        await disk.CloseAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(20));   // waits until nothing is in flight
    }

    private static async Task<(BlockGraph Graph, ProbeNode Node, BlockBackend Disk)> OpenAsync(int alignment, int size = Size)
    {
        var driver = new ProbeDriver(alignment, size);
        var graph = new BlockGraph(new BlockDrivers([driver]));
        BlockNode node = await graph.OpenNodeAsync(new JsonObject { ["driver"] = driver.Name }, new OpenContext());
        BlockBackend disk = await graph.OpenBackendAsync(node, BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions.All);
        return (graph, (ProbeNode)node, disk);
    }

    private sealed class ProbeDriver(int alignment, int size) : BlockDriver
    {
        public override string Name => "probe";

        public override IReadOnlyList<OptionMember> Options => [];

        public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
            => new(new ProbeNode(opening, alignment, size));
    }

    /// <summary>Bytes in memory behind a driver that is slow now and then, and particular about alignment.</summary>
    private sealed class ProbeNode : BlockNode
    {
        private readonly int _alignment;
        private int _inFlight, _requests, _reads, _writes;

        public ProbeNode(NodeOpening opening, int alignment, int size)
            : base(opening)
        {
            _alignment = alignment;
            Bytes = new byte[size];
            TrackBecauseOfAlignment();
        }

        public byte[] Bytes { get; }

        public bool Fail { get; set; }

        public int InFlight => Volatile.Read(ref _inFlight);

        public int Reads => _reads;

        public int Writes => _writes;

        public int Flushes { get; private set; }

        public override long Length => Bytes.Length;

        public override int RequestAlignment => _alignment;

        protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _reads);
            return DoAsync(offset, buffer, () => Bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer.Span));
        }

        protected override ValueTask WriteCoreAsync(
            long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        {
            Interlocked.Increment(ref _writes);
            return DoAsync(offset, buffer, () => buffer.Span.CopyTo(Bytes.AsSpan((int)offset)));
        }

        protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        {
            Flushes++;
            return default;
        }

        private async ValueTask DoAsync(long offset, ReadOnlyMemory<byte> buffer, Action transfer)
        {
            Assert.True(Align.Is(offset, _alignment) && Align.Is(buffer.Length, _alignment) && IOBuffer.IsAligned(buffer, _alignment));
            if (Fail) throw BlockException.FromErrno(Errno.EIO);
            Interlocked.Increment(ref _inFlight);
            if (Interlocked.Increment(ref _requests) % 3 == 0) await Task.Yield();
            transfer();
            Interlocked.Decrement(ref _inFlight);
        }
    }
}
