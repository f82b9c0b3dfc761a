using System.Text.Json.Nodes;
using Varve.IO;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

public sealed class CopyWindowTests
{
    private const int Chunk = 512;

    [Fact]
    public async Task Chunks_are_retired_in_the_order_in_which_they_were_begun()
    {
        await using var fixture = new JobFixture();
        var gates = new TaskCompletionSource[4];
        for (int i = 0; i < gates.Length; i++) gates[i] = new();
        var window = await OpenAsync(fixture, chunk => new(gates[chunk.Offset / Chunk].Task));
        for (int i = 0; i < gates.Length; i++) window.Begin(i * Chunk, Chunk);
        foreach (TaskCompletionSource gate in gates.Reverse()) gate.SetResult();
        for (int i = 0; i < gates.Length; i++)
        {
            Assert.Equal(new RetiredChunk(i * Chunk, Chunk, IsCopy: true, null, "read"), await RetireAsync(window));
        }

        Assert.True(window.IsEmpty);
    }

    [Fact]
    public async Task A_range_with_nothing_to_copy_keeps_its_place()
    {
        await using var fixture = new JobFixture();
        var failure = new BlockException(BlockErrorKind.Io, "gone");
        var gate = new TaskCompletionSource();
        var window = await OpenAsync(fixture, _ => new(gate.Task));
        window.Begin(0, Chunk);
        window.Pass(Chunk, 3 * Chunk);
        window.Pass(4 * Chunk, Chunk, failure);
        Assert.True(window.Overlaps(3 * Chunk, 1));
        Assert.False(window.Overlaps(5 * Chunk, Chunk));
        gate.SetResult();
        Assert.True((await RetireAsync(window)).IsCopy);
        Assert.Equal(new RetiredChunk(Chunk, 3 * Chunk, IsCopy: false, null, "read"), await RetireAsync(window));
        Assert.Same(failure, (await RetireAsync(window)).Failure);
        Assert.False(window.Overlaps(0, 5 * Chunk));
    }

    [Fact]
    public async Task A_chunk_that_waits_leaves_its_thread_to_the_next()
    {
        await using var fixture = new JobFixture(copyThreads: new BlockingThreads(maxThreads: 1));
        var gate = new TaskCompletionSource();
        var second = new TaskCompletionSource();
        var window = await OpenAsync(fixture, async chunk =>
        {
            if (chunk.Offset == 0) await gate.Task;
            else second.SetResult();
        });
        window.Begin(0, Chunk);
        window.Begin(Chunk, Chunk);
        await second.Task.WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
        gate.SetResult();
        Assert.Equal(0, (await RetireAsync(window)).Offset);
        Assert.Equal(Chunk, (await RetireAsync(window)).Offset);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_failure_is_told_with_what_failed(bool isAtOnce)
    {
        await using var fixture = new JobFixture();
        var window = await OpenAsync(fixture, chunk => isAtOnce ? Fail(chunk) : FailLaterAsync(chunk));
        window.Begin(0, Chunk);
        RetiredChunk chunk = await RetireAsync(window);
        Assert.Equal(("write", Errno.ENOSPC), (chunk.FailedOperation, chunk.Failure!.Errno));

        // The same place, used again, has forgotten it.
        window.Pass(Chunk, Chunk);
        Assert.Equal(new RetiredChunk(Chunk, Chunk, IsCopy: false, null, "read"), await RetireAsync(window));

        static ValueTask Fail(CopyChunk chunk)
        {
            chunk.Operation = "write";
            throw BlockException.FromErrno(Errno.ENOSPC);
        }

        static async ValueTask FailLaterAsync(CopyChunk chunk)
        {
            await Task.Yield();
            await Fail(chunk);
        }
    }

    [Fact]
    public async Task What_is_no_failure_of_storage_reaches_the_job()
    {
        await using var fixture = new JobFixture();
        var window = await OpenAsync(fixture, async _ =>
        {
            await Task.Yield();
            throw new InvalidOperationException("a defect");
        });
        window.Begin(0, Chunk);
        await Assert.ThrowsAsync<InvalidOperationException>(() => RetireAsync(window));
        Assert.True(window.IsEmpty);
    }

    [Fact]
    public async Task What_was_copied_is_written_back_while_copying_goes_on()
    {
        const int Large = 1 << 20;
        await using var fixture = new JobFixture();
        var requests = new List<string>();
        var gate = new TaskCompletionSource();
        CopyWindow window = await OpenAsync(fixture, _ => default, (kind, _, _) =>
        {
            requests.Add(kind);
            return new(gate.Task);
        });
        for (int i = 0; i < 40; i++)
        {
            window.Begin(i * Large, Large);
            Assert.Equal(i * Large, (await RetireAsync(window)).Offset);
            Assert.Equal(i < 7 ? 0 : 1, requests.Count);   // not another one before the first has come back
        }

        Assert.False(window.IsEmpty);
        Task<RetiredChunk> last = RetireAsync(window);
        Assert.False(last.IsCompleted);
        gate.SetResult();
        Assert.Equal(default, await last);
        Assert.True(window.IsEmpty);
        window.Begin(0, Large);
        await RetireAsync(window);
        Assert.Equal(["writeback", "writeback"], requests);
    }

    [Fact]
    public async Task Zeros_are_not_written_back()
    {
        await using var fixture = new JobFixture();
        CopyWindow window = await OpenAsync(fixture, _ => default, (kind, _, _) => throw new InvalidOperationException(kind));
        window.Begin(0, 1 << 30, isZero: true);
        window.Pass(1 << 30, 1 << 30);
        await RetireAsync(window);
        await RetireAsync(window);
        Assert.True(window.IsEmpty);
    }

    private static async Task<CopyWindow> OpenAsync(JobFixture fixture, Func<CopyChunk, ValueTask> copy, Func<string, long, long, ValueTask>? onRequest = null)
    {
        var target = (MemoryNode)await fixture.OpenAsync(new JsonObject { ["driver"] = "memory" });
        target.OnRequest = onRequest;
        return new CopyWindow(fixture.Graph, target, copy);
    }

    private static Task<RetiredChunk> RetireAsync(CopyWindow window)
        => window.RetireAsync().AsTask().WaitAsync(Patience.Limit, TestContext.Current.CancellationToken);
}
