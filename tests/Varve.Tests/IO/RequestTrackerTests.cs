using Varve.IO;

namespace Varve.Tests.IO;

public class RequestTrackerTests
{
    private readonly RequestTracker _tracker = new();

    [Fact]
    public async Task Plain_requests_overlap_freely()
    {
        TrackedRequest first = await Now(_tracker.EnterAsync(0, 100, serialising: false));
        TrackedRequest second = await Now(_tracker.EnterAsync(50, 100, serialising: false));
        _tracker.Exit(first);
        _tracker.Exit(second);
    }

    [Fact]
    public async Task A_serialising_request_waits_for_what_overlaps_it_and_for_nothing_else()
    {
        TrackedRequest overlapping = await Now(_tracker.EnterAsync(0, 100, serialising: false));
        TrackedRequest beside = await Now(_tracker.EnterAsync(200, 100, serialising: true));
        Task<TrackedRequest> alone = _tracker.EnterAsync(99, 101, serialising: true).AsTask();
        Assert.False(alone.IsCompleted);
        _tracker.Exit(overlapping);
        _tracker.Exit(await alone.WaitAsync(TimeSpan.FromSeconds(10)));
        _tracker.Exit(beside);
    }

    [Fact]
    public async Task A_request_that_waits_is_passed_by_but_not_for_ever()
    {
        TrackedRequest before = await Now(_tracker.EnterAsync(0, 100, serialising: false));
        Task<TrackedRequest> alone = _tracker.EnterAsync(0, 200, serialising: true).AsTask();
        for (int i = 0; i < RequestTracker.MaxOvertaken; i++) _tracker.Exit(await Now(_tracker.EnterAsync(150, 10, serialising: false)));
        Task<TrackedRequest> after = _tracker.EnterAsync(150, 10, serialising: false).AsTask();
        Assert.False(after.IsCompleted);
        _tracker.Exit(before);
        TrackedRequest entered = await alone.WaitAsync(TimeSpan.FromSeconds(10));
        Assert.False(after.IsCompleted);
        _tracker.Exit(entered);
        _tracker.Exit(await after.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task A_request_waits_for_those_that_passed_it_and_are_in_flight()
    {
        TrackedRequest before = await Now(_tracker.EnterAsync(0, 100, serialising: false));
        Task<TrackedRequest> alone = _tracker.EnterAsync(0, 200, serialising: true).AsTask();
        TrackedRequest passing = await Now(_tracker.EnterAsync(150, 10, serialising: false));
        _tracker.Exit(before);
        await Task.Yield();
        Assert.False(alone.IsCompleted);
        _tracker.Exit(passing);
        _tracker.Exit(await alone.WaitAsync(TimeSpan.FromSeconds(10)));
    }

    [Fact]
    public async Task Under_load_a_serialising_request_is_alone_on_its_range()
    {
        const int Cells = 16;
        int[] writers = new int[Cells];   // plain requests on a cell count 1, a serialising one 1000
        await Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            var random = new Random(worker);
            for (int step = 0; step < 3000; step++)
            {
                int first = random.Next(Cells), count = 1 + random.Next(Math.Min(4, Cells - first));
                bool serialising = random.Next(4) == 0;
                TrackedRequest request = await _tracker.EnterAsync(first, count, serialising);
                for (int cell = first; cell < first + count; cell++)
                {
                    int now = Interlocked.Add(ref writers[cell], serialising ? 1000 : 1);
                    Assert.True(serialising ? now == 1000 : now < 1000, $"cell {cell}: {now}");
                }

                if (random.Next(8) == 0) await Task.Yield();
                for (int cell = first; cell < first + count; cell++) Interlocked.Add(ref writers[cell], serialising ? -1000 : -1);
                _tracker.Exit(request);
            }
        })));
    }

    private static ValueTask<TrackedRequest> Now(ValueTask<TrackedRequest> request)
    {
        Assert.True(request.IsCompleted);
        return request;
    }
}
