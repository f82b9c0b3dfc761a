using System.Collections.Concurrent;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Wire;
using Varve.Tests.Support;

namespace Varve.Tests.Nbd;

/// <summary>Writes that are carried out while their data is still coming.</summary>
public class LargeWriteTests
{
    private const int Piece = 128 << 10;

    [Theory]
    [InlineData(1, 0)]
    [InlineData(2, 3)]
    [InlineData(3, 1)]
    public async Task Every_write_lands_whole_wherever_it_begins_and_whichever_piece_is_late(int seed, int lateOf4)
    {
        const int size = 8 << 20, count = 60;
        await using NbdTestServer server = await StartAsync(size);
        var random = new Random(seed);
        server.Memory.OnRequest = async (_, offset, _) => { if (offset / Piece % 4 < lateOf4) await Task.Delay((int)(offset / Piece % 3)); };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        byte[] disk = new byte[size], data = new byte[2 << 20];

        for (int i = 0; i < count; i++)
        {
            int length = random.Next(1, data.Length), offset = random.Next(size - length);
            random.NextBytes(data);
            data.AsSpan(0, length).CopyTo(disk.AsSpan(offset));
            Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Write, offset, (uint)length, data: data[..length]));
            Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Flush));   // the stream is in step
        }

        Assert.True(disk.AsSpan().SequenceEqual(server.Memory.Bytes.ToArray()));
    }

    [Fact]
    public async Task Pieces_end_where_clusters_do()
    {
        await using NbdTestServer server = await StartAsync();
        ConcurrentQueue<(long Start, long End)> seen = Watch(server);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        await client.SimpleAsync(CommandType.Write, 100_000, 300_000, data: new byte[300_000]);
        Assert.Equal([(100_000, Piece), (Piece, 2 * Piece), (2 * Piece, 3 * Piece), (3 * Piece, 400_000)], seen);
    }

    [Fact]
    public async Task What_must_be_durable_at_once_is_written_at_once()
    {
        await using NbdTestServer server = await StartAsync();
        ConcurrentQueue<(long Start, long End)> seen = Watch(server);
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        await client.SimpleAsync(CommandType.Write, 0, 3 * Piece, CommandFlags.Fua, new byte[3 * Piece]);
        Assert.Equal([(0, 3 * Piece)], seen);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_piece_that_fails_fails_the_request_and_the_stream_stays_in_step(bool isLate)
    {
        await using NbdTestServer server = await StartAsync();
        server.Memory.OnRequest = async (kind, offset, _) =>
        {
            if (kind != "write" || offset != 2 * Piece) return;
            if (isLate) await Task.Delay(20);
            throw BlockException.FromErrno(Errno.ENOSPC);
        };
        using NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false);
        byte[] data = [.. Enumerable.Repeat((byte)7, 6 * Piece)];
        Assert.Equal(NbdError.NoSpace, await client.SimpleAsync(CommandType.Write, 0, (uint)data.Length, data: data));
        Assert.Equal(NbdError.None, await client.SimpleAsync(CommandType.Write, 7 * Piece, 512, data: data[..512]));
        byte[] disk = server.Memory.Bytes.ToArray();
        Assert.Equal(7, disk[(2 * Piece) - 1]);
        Assert.Equal(0, disk[2 * Piece]);
        Assert.Equal(7, disk[7 * Piece]);
    }

    [Fact]
    public async Task A_client_that_leaves_in_the_midst_of_its_data_has_written_whole_pieces_of_it()
    {
        await using NbdTestServer server = await StartAsync();
        using (NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false))
        {
            await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, 1, 0, 6 * Piece), .. Enumerable.Repeat((byte)7, (3 * Piece) - 1)]);
        }

        await Patience.UntilAsync(() => server.Exports.Find("export")!.ConnectionCount == 0, "the client is gone");
        byte[] disk = server.Memory.Bytes.ToArray();
        Assert.Equal(7, disk[(2 * Piece) - 1]);
        Assert.Equal(0, disk[2 * Piece]);
    }

    [Fact]
    public async Task A_piece_in_flight_keeps_its_data_when_the_client_leaves()
    {
        await using NbdTestServer server = await StartAsync();
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var begun = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        server.Memory.OnRequest = async (_, offset, _) =>
        {
            if (offset != Piece) return;
            begun.TrySetResult();
            await gate.Task;
        };
        using (NbdTestClient client = await (await server.ConnectAsync()).GoAsync(structured: false))
        {
            await client.SendAsync([.. NbdTestClient.Request(CommandType.Write, 1, 0, 6 * Piece), .. Enumerable.Repeat((byte)7, 3 * Piece)]);
            await begun.Task.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        }

        using (NbdTestClient other = await (await server.ConnectAsync()).GoAsync(structured: false))   // what would take the memory, were it free
        {
            for (int i = 0; i < 8; i++) await other.SimpleAsync(CommandType.Write, 6 * Piece, Piece, data: [.. Enumerable.Repeat((byte)8, Piece)]);
            Assert.Equal(2, server.Exports.Find("export")!.ConnectionCount);
        }

        gate.SetResult();
        await Patience.UntilAsync(() => server.Exports.Find("export")!.ConnectionCount == 0, "the client is gone");
        Assert.All(server.Memory.Bytes.ToArray()[..(2 * Piece)], b => Assert.Equal(7, b));
    }

    [Theory]
    [InlineData("""{"driver": "file", "filename": "RAW"}""", true)]
    [InlineData("""{"driver": "raw", "file": {"driver": "file", "filename": "RAW"}}""", true)]
    [InlineData("""{"driver": "raw", "file": {"driver": "file", "filename": "RAW"}, "detect-zeroes": "on"}""", false)]
    [InlineData("""{"driver": "raw", "file": {"driver": "file", "filename": "RAW", "cache": {"direct": true}}}""", false)]
    [InlineData("""{"driver": "copy-on-read", "file": {"driver": "file", "filename": "RAW"}}""", false)]
    [InlineData("""{"driver": "qcow2", "file": {"driver": "file", "filename": "65536"}}""", true)]
    [InlineData("""{"driver": "qcow2", "file": {"driver": "file", "filename": "262144"}}""", false)]
    [InlineData("""{"driver": "qcow2", "file": {"driver": "copy-on-read", "file": {"driver": "file", "filename": "65536"}}}""", false)]
    public async Task Only_nodes_that_see_no_difference_are_given_pieces(string options, bool expected)
    {
        using var directory = new TempDirectory();
        await File.WriteAllBytesAsync(directory["RAW"], new byte[1 << 20], TestContext.Current.CancellationToken);
        foreach (int clusterSize in (int[])[65536, 262144])
        {
            ReferenceTool.Run("qemu-img", "create", "-q", "-f", "qcow2", "-o", $"cluster_size={clusterSize}", directory[$"{clusterSize}"], "1M");
        }

        var json = (JsonObject)JsonNode.Parse(options.Replace("\"RAW\"", $"\"{directory["RAW"]}\"", StringComparison.Ordinal)
            .Replace("\"65536\"", $"\"{directory["65536"]}\"", StringComparison.Ordinal)
            .Replace("\"262144\"", $"\"{directory["262144"]}\"", StringComparison.Ordinal))!;
        await using var graph = new BlockGraph(BlockDrivers.Default);
        using IDisposable held = await graph.ControlLock.EnterAsync();
        BlockNode node = await graph.OpenNodeAsync(json, new OpenContext { References = ReferencePolicy.Everything });
        Assert.Equal(expected, node.TakesPieces(Piece));
    }

    private static async Task<NbdTestServer> StartAsync(int size = 8 * Piece)
    {
        NbdTestServer server = await NbdTestServer.StartAsync(size: size);
        server.Memory.IsDivisible = true;
        return server;
    }

    private static ConcurrentQueue<(long Start, long End)> Watch(NbdTestServer server)
    {
        var seen = new ConcurrentQueue<(long, long)>();
        server.Memory.OnRequest = (kind, offset, length) =>
        {
            if (kind == "write") seen.Enqueue((offset, offset + length));
            return default;
        };
        return seen;
    }
}
