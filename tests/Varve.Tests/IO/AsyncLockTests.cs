using Varve.IO;
using Varve.Tests.Support;

namespace Varve.Tests.IO;

/// <summary>The lock that is held across awaits.</summary>
public class AsyncLockTests
{
    [Fact]
    public async Task Those_who_wait_come_in_their_order()
    {
        var asyncLock = new AsyncLock();
        for (int round = 0; round < 3; round++)   // the later rounds in places that were used before
        {
            AsyncLock.Holder held = await asyncLock.EnterAsync();
            var order = new List<int>();
            Task[] waiting = [.. Enumerable.Range(0, 5).Select(i => TakeAsync(asyncLock.EnterAsync(), order, i))];
            Assert.Empty(order);
            held.Dispose();
            await Task.WhenAll(waiting).WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
            Assert.Equal([0, 1, 2, 3, 4], order);
        }

        static async Task TakeAsync(ValueTask<AsyncLock.Holder> entering, List<int> order, int number)
        {
            using AsyncLock.Holder held = await entering;
            order.Add(number);
        }
    }

    [Fact]
    public async Task One_at_a_time_is_inside()
    {
        var asyncLock = new AsyncLock();
        int inside = 0, entered = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                using AsyncLock.Holder held = await asyncLock.EnterAsync().ConfigureAwait(false);
                Assert.Equal(1, ++inside);
                entered++;
                if (i % 5 == 0) await Task.Yield();
                inside--;
            }
        }))).WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        Assert.Equal(4000, entered);
    }
}
