using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

/// <summary>Streams beside a guest that writes, against what a plain array of bytes would hold.</summary>
public sealed class StreamUnderWritesTests
{
    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task What_the_guest_wrote_is_what_it_reads(int seed)
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        var random = new Random(seed);
        foreach (string name in new[] { "base", "mid", "top" })
        {
            int delays = random.Next(3);
            fixture[name].OnRequest = async (_, _, _) =>
            {
                for (int i = 0; i < delays; i++) await Task.Yield();
            };
        }

        BlockBackend guest = await fixture.OpenGuestAsync("top");
        byte[] model = await StreamTests.ReadAllAsync(guest);
        Task<int>[] writers = [.. Enumerable.Range(0, 4).Select(i => Task.Run(() => WriteAndVerifyAsync(guest, model, i, seed)))];

        // Streams that are left alone, cancelled, paused, or fail at the header, one after another, under the same writers.
        int left = 3;
        while (left > 0 || !writers.All(w => w.IsCompleted))
        {
            bool isWhole = fixture["top"].BackingChild?.Node.NodeName != "mid" || random.Next(2) == 0;
            var options = new StreamOptions("top") { BaseNode = isWhole ? null : "base" };
            fixture["top"].OnHeaderWrite = left > 1 ? _ => throw BlockException.FromErrno(Errno.EIO) : null;
            BlockJob job = await fixture.StreamAsync(options);
            await ActAsync(fixture, job, random.Next(4));
            await job.EndAsync();
            left--;
        }

        await Task.WhenAll(writers);
        Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
        fixture["top"].OnHeaderWrite = null;
        BlockJob last = await fixture.StreamAsync(new StreamOptions("top"));
        await last.EndAsync();
        Assert.Null(last.Error);
        Assert.Null(fixture["top"].BackingChild);
        Assert.Equal(model, await StreamTests.ReadAllAsync(guest));
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(0, 60)];

    private static async Task ActAsync(JobFixture fixture, BlockJob job, int action)
    {
        try
        {
            switch (action)
            {
                case 1:
                    await fixture.CommandAsync(() => job.CancelAsync(force: true).AsTask());
                    break;
                case 2:
                    await fixture.CommandAsync(job.Pause);
                    await Task.Delay(1);
                    await fixture.CommandAsync(job.Resume);
                    break;
                case 3:
                    using (await fixture.Graph.ControlLock.EnterAsync())
                    {
                        using DrainedSection drained = await BlockGraph.DrainAsync([fixture.Graph.FindNode("top")!]);
                    }

                    break;
            }
        }
        catch (BlockException e) when (e.Message.Contains("cannot accept command verb", StringComparison.Ordinal))
        {
            // The job was faster than the command.
        }
    }

    /// <summary>Each writer owns every fourth of the 4 KiB blocks, so that the model needs no order between writers.</summary>
    internal static async Task<int> WriteAndVerifyAsync(BlockBackend guest, byte[] model, int writer, int seed)
    {
        const int Block = 4096;
        var random = new Random((seed * 4) + writer);
        byte[] buffer = new byte[Block];
        for (int i = 0; i < 150; i++)
        {
            int offset = ((random.Next(model.Length / Block / 4) * 4) + writer) * Block;
            switch (random.Next(5))
            {
                case 0:
                    await guest.WriteZeroesAsync(offset, Block, ZeroFlags.MayUnmap);
                    model.AsSpan(offset, Block).Clear();
                    break;
                case 1 or 2:
                    await guest.ReadAsync(offset, buffer);
                    Assert.True(model.AsSpan(offset, Block).SequenceEqual(buffer));
                    break;
                default:
                    random.NextBytes(buffer);
                    await guest.WriteAsync(offset, buffer);
                    buffer.CopyTo(model.AsSpan(offset));
                    break;
            }
        }

        return writer;
    }
}
