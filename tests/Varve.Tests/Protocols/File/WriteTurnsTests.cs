using Varve.Protocols.File;
using Varve.Tests.Support;

namespace Varve.Tests.Protocols.File;

public class WriteTurnsTests
{
    private const int LongMs = 60_000;

    [Fact]
    public async Task A_large_piece_waits_for_small_writes_that_have_begun_and_for_no_later_ones()
    {
        var turns = new WriteTurns(LongMs);
        turns.BeginSmall();
        turns.BeginSmall();
        Task large = Task.Run(() => LargePiece(turns));
        await Task.Delay(50, TestContext.Current.CancellationToken);
        turns.BeginSmall();
        turns.EndSmall();
        Assert.False(large.IsCompleted);
        turns.EndSmall();
        await large.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_small_write_without_end_does_not_keep_a_large_one()
    {
        var turns = new WriteTurns();
        turns.BeginSmall();
        await Task.Run(() => LargePiece(turns)).WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    /// <summary>Whoever is running could take the turn again before the one that sleeps for it has come.</summary>
    [Fact]
    public async Task A_large_piece_that_waits_is_not_overtaken_by_the_one_that_comes_again()
    {
        var turns = new WriteTurns();
        for (int round = 0; round < 20; round++)
        {
            bool hasComeFirst = false;
            Task other;
            using (turns.BeginLargePiece())
            {
                other = Task.Run(() =>
                {
                    using WriteTurns.LargePiece piece = turns.BeginLargePiece();
                    hasComeFirst = true;
                }, TestContext.Current.CancellationToken);
                Assert.True(SpinWait.SpinUntil(() => turns.LargePieces == 2, Patience.Limit));
            }

            using (turns.BeginLargePiece()) Assert.True(hasComeFirst);
            await other.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        }
    }

    /// <summary>The first write into a cluster brings the rest of the cluster along: a guest's, which waits for its turn beside nothing.</summary>
    [Fact]
    public void A_write_of_a_cluster_is_small()
    {
        Assert.False(WriteTurns.IsLarge(64 << 10));
        Assert.True(WriteTurns.IsLarge(128 << 10));
    }

    [Fact]
    public async Task Small_and_large_writes_of_many_threads_all_arrive()
    {
        const int lanes = 4, rounds = 60;
        using var directory = new TempDirectory();
        byte[][] contents = new byte[2 * lanes][];
        using (HostFile file = HostFile.Open(directory.File("image", length: 0), new(Writable: true, Direct: false), new FdSets()))
        {
            await Task.WhenAll(Enumerable.Range(0, 2 * lanes).Select(lane => Task.Run(() =>
            {
                var random = new Random(lane);
                contents[lane] = new byte[lane < lanes ? 300_000 : 3000];
                for (int round = 0; round < rounds; round++)
                {
                    random.NextBytes(contents[lane]);
                    file.Write(contents[lane], lane * 300_000L);
                }
            })));
        }

        byte[] all = await System.IO.File.ReadAllBytesAsync(directory["image"], TestContext.Current.CancellationToken);
        for (int lane = 0; lane < 2 * lanes; lane++)
        {
            Assert.True(all.AsSpan(lane * 300_000, contents[lane].Length).SequenceEqual(contents[lane]), $"lane {lane}");
        }
    }

    private static void LargePiece(WriteTurns turns)
    {
        using WriteTurns.LargePiece piece = turns.BeginLargePiece();
    }
}
