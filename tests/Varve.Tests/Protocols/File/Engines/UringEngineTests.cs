using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Protocols.File.Engines;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File.Engines;

public class UringEngineTests
{
    private static readonly NodeSettings s_direct = new() { CacheDirect = true, Discard = true };

    [Fact]
    public void This_kernel_has_io_uring() => Assert.NotNull(UringEngine.Shared);

    [Fact]
    public async Task More_requests_than_the_ring_has_room_for_are_all_served()
    {
        const int Count = 3000, Piece = 4096;
        await using var fixture = new FileFixture();
        byte[] data = new byte[Count * Piece], back = new byte[Count * Piece];
        new Random(1).NextBytes(data);
        BlockBackend disk = await OpenAsync(fixture, fixture.Directory.File("disk", data.Length));
        await Task.WhenAll(Enumerable.Range(0, Count).Select(i => disk.WriteAsync(i * Piece, data.AsMemory(i * Piece, Piece)).AsTask()));
        await Task.WhenAll(Enumerable.Range(0, Count).Select(i => disk.ReadAsync(i * Piece, back.AsMemory(i * Piece, Piece)).AsTask()));
        Assert.True(data.AsSpan().SequenceEqual(back));
        await disk.FlushAsync();
        byte[] file = await System.IO.File.ReadAllBytesAsync(fixture.Directory["disk"], TestContext.Current.CancellationToken);
        Assert.True(data.AsSpan().SequenceEqual(file));
    }

    [Fact]
    public async Task What_awaits_a_request_may_wait_for_another_one()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await OpenAsync(fixture, fixture.Directory.File("disk", 1 << 20));
        await Task.Run(() => WaitInsideAsync(0)).WaitAsync(Patience.Limit);

        // Deeper than there are rings: every leader is stuck in its turn.
        async Task WaitInsideAsync(int depth)
        {
            using IOBuffer buffer = IOBuffer.Rent(4096);
            await disk.ReadAsync(depth * 4096, buffer.Memory).ConfigureAwait(false);
#pragma warning disable xUnit1031 // That is what is tested.
            if (depth < 20) WaitInsideAsync(depth + 1).GetAwaiter().GetResult();
#pragma warning restore xUnit1031
        }
    }

    [Fact]
    public async Task Requests_outlive_the_thread_that_began_them()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await OpenAsync(fixture, fixture.Directory.File("disk", 8 << 20));
        for (int round = 0; round < 20; round++)
        {
            var begun = new List<Task>();
            var thread = new Thread(() =>
            {
                for (int i = 0; i < 64; i++) begun.Add(disk.WriteAsync(i * 128.KiB, new byte[128.KiB], WriteFlags.Fua).AsTask());
            });
            thread.Start();
            thread.Join();
            await Task.WhenAll(begun).WaitAsync(Patience.Limit);
        }
    }

    [Fact]
    public async Task A_batch_begins_when_it_is_sent()
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await OpenAsync(fixture, fixture.Directory.File("disk", 1 << 20));
        Task[] reads = [];
        var thread = new Thread(() =>
        {
            SubmissionBatch.Open();
            reads = [.. Enumerable.Range(0, 100).Select(i => disk.ReadAsync(i * 4096, new byte[4096]).AsTask())];
            SubmissionBatch.Close();
        });
        thread.Start();
        thread.Join();
        await Task.WhenAll(reads).WaitAsync(Patience.Limit);
    }

    [Theory]
    [InlineData("threads")]
    [InlineData("io_uring")]
    public async Task Both_engines_fail_alike(string aio)
    {
        await using var fixture = new FileFixture();
        BlockBackend disk = await OpenAsync(fixture, fixture.Directory.File("disk", 1 << 20), aio);
        using IOBuffer block = IOBuffer.Rent(4096);
        long tooFar = long.MaxValue - 0xFFFF;     // further than any file system's files reach
        BlockException write = await Assert.ThrowsAsync<BlockException>(async () => await disk.Node.WriteAsync(tooFar, block.Memory, WriteFlags.None, default));
        Assert.Equal((Errno.EFBIG, BlockErrorKind.TooLarge, "File too large", tooFar), (write.Errno, write.Kind, write.Message, write.Offset));
        BlockException zero = await Assert.ThrowsAsync<BlockException>(async () => await disk.Node.WriteZeroesAsync(tooFar, 4096, ZeroFlags.None, default));
        Assert.Equal(Errno.EFBIG, zero.Errno);
    }

    private static Task<BlockBackend> OpenAsync(FileFixture fixture, string path, string aio = "io_uring")
        => fixture.OpenAsync(path, s_direct, new JsonObject { ["aio"] = aio });
}
