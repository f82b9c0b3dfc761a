using Varve.IO;

namespace Varve.Tests.IO;

public class BlockingThreadsTests
{
    [Fact]
    public async Task Calls_that_wait_for_each_other_all_get_a_thread()
    {
        var threads = new BlockingThreads(maxThreads: 8);
        using var barrier = new Barrier(8);
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => threads.RunAsync(() => Assert.True(barrier.SignalAndWait(TimeSpan.FromSeconds(20))))));
    }

    [Fact]
    public async Task More_calls_than_threads_wait_their_turn()
    {
        var threads = new BlockingThreads(maxThreads: 2);
        int running = 0, most = 0, done = 0;
        await Task.WhenAll(Enumerable.Range(0, 50).Select(_ => threads.RunAsync(() =>
        {
            int now = Interlocked.Increment(ref running);
            InterlockedMax(ref most, now);
            Thread.Sleep(1);
            Interlocked.Decrement(ref running);
            Interlocked.Increment(ref done);
        })));
        Assert.Equal(50, done);
        Assert.InRange(most, 1, 2);
    }

    [Fact]
    public async Task What_a_call_throws_reaches_the_one_who_awaits_it()
        => await Assert.ThrowsAsync<InvalidOperationException>(() => BlockingThreads.Shared.RunAsync(() => throw new InvalidOperationException()));

    [Fact]
    public async Task Every_thread_is_prepared_before_it_works()
    {
        bool isPrepared = false;
        var threads = new BlockingThreads(maxThreads: 1, prepare: () => isPrepared = true);
        await threads.RunAsync(() => Assert.True(isPrepared));
    }

    private static void InterlockedMax(ref int value, int candidate)
    {
        for (int seen = Volatile.Read(ref value); seen < candidate; seen = Volatile.Read(ref value))
        {
            if (Interlocked.CompareExchange(ref value, candidate, seen) == seen) return;
        }
    }
}
