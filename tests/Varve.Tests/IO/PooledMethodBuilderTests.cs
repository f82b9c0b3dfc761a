using System.Runtime.CompilerServices;
using Varve.IO;
using Varve.Tests.Support;

namespace Varve.Tests.IO;

/// <summary>Methods whose state is used again once their result was fetched.</summary>
public class PooledMethodBuilderTests
{
    private static readonly AsyncLocal<int> s_local = new();

    [Fact]
    public async Task A_method_that_need_not_wait_has_ended_when_it_returns()
    {
        ValueTask<int> sum = SumAsync(Task.CompletedTask, 2, 3);
        Assert.True(sum.IsCompletedSuccessfully);
        Assert.Equal(5, await sum);
    }

    [Fact]
    public async Task A_failure_is_thrown_where_the_result_is_awaited()
    {
        ValueTask atOnce = FailAsync(Task.CompletedTask, new BlockException(BlockErrorKind.Io, "at once"));
        var gate = new TaskCompletionSource();
        ValueTask later = FailAsync(gate.Task, new BlockException(BlockErrorKind.Io, "later"));
        gate.SetResult();
        Assert.Equal("at once", (await Assert.ThrowsAsync<BlockException>(() => atOnce.AsTask())).Message);
        Assert.Equal("later", (await Assert.ThrowsAsync<BlockException>(() => later.AsTask())).Message);
    }

    [Fact]
    public async Task A_method_that_was_cancelled_is_cancelled()
    {
        var gate = new TaskCompletionSource();
        Task now = FailAsync(Task.CompletedTask, new OperationCanceledException()).AsTask(), later = FailAsync(gate.Task, new OperationCanceledException()).AsTask();
        gate.SetResult();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => now);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => later);
        Assert.True(now.IsCanceled && later.IsCanceled);
    }

    [Fact]
    public async Task A_result_is_fetched_once()
    {
        var gate = new TaskCompletionSource();
        ValueTask<int> first = SumAsync(gate.Task, 1, 1);
        Assert.Throws<InvalidOperationException>(() => FetchAgain(first));   // not ended: it goes on as if nobody had asked
        gate.SetResult();
        Assert.Equal(2, await first);

        var next = new TaskCompletionSource();
        ValueTask<int> second = SumAsync(next.Task, 2, 2);   // in the box of the first
        Assert.Throws<InvalidOperationException>(() => FetchAgain(first));
        next.SetResult();
        Assert.Equal(4, await second);

        static int FetchAgain(ValueTask<int> task) => task.GetAwaiter().GetResult();
    }

    [Fact]
    public async Task What_is_local_to_the_caller_is_local_to_the_method_after_it_has_waited()
    {
        var gate = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        s_local.Value = 7;
        ValueTask<int> read = ReadLocalAsync(gate.Task);
        s_local.Value = 8;
        using (ExecutionContext.SuppressFlow()) ThreadPool.UnsafeQueueUserWorkItem(_ => gate.SetResult(), null);
        Assert.Equal(7, await read);
        Assert.Equal(8, s_local.Value);
    }

    [Fact]
    public async Task Many_at_once_on_many_threads_keep_their_state_apart()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                ValueTask<int>[] sums = [.. Enumerable.Range(0, 8).Select(k => NestedAsync(worker * 1000, i, k))];
                for (int k = 0; k < sums.Length; k++) Assert.Equal((worker * 1000) + i + k, await sums[k].ConfigureAwait(false));
            }
        }))).WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private static async ValueTask<int> SumAsync(Task before, int a, int b)
    {
        await before.ConfigureAwait(false);
        return a + b;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private static async ValueTask<int> NestedAsync(int a, int b, int c)
    {
        int sum = await SumAsync(Task.CompletedTask, a, 0).ConfigureAwait(false);
        for (int i = 0; i < c % 3; i++) await Task.Yield();
        sum = await SumAsync(Task.Run(() => { }), sum, b).ConfigureAwait(false);
        if (c % 2 == 0) await EndAsync(Task.Run(() => { })).ConfigureAwait(false);
        return await SumAsync(Task.CompletedTask, sum, c).ConfigureAwait(false);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private static async ValueTask EndAsync(Task before) => await before.ConfigureAwait(false);

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private static async ValueTask FailAsync(Task before, Exception failure)
    {
        await before.ConfigureAwait(false);
        throw failure;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder<>))]
    private static async ValueTask<int> ReadLocalAsync(Task before)
    {
        await before.ConfigureAwait(false);
        return s_local.Value;
    }
}
