using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>The power goes at every request of a change that touches many tables at once.</summary>
public sealed class Qcow2PowerLossTests
{
    private const int Size = 256 << 10;
    private static readonly InternalSnapshot s_second = new() { Name = "second" };

    public static TheoryData<string, string> Changes()
    {
        var data = new TheoryData<string, string>();
        foreach (string options in new[]
        {
            """{"version": "v3", "cluster-size": 4096}""", """{"version": "v3", "cluster-size": 512}""", """{"version": "v2", "cluster-size": 4096}""",
            """{"version": "v2", "cluster-size": 512}""",
        })
        {
            foreach (string change in new[] { "create", "apply", "delete" }) data.Add(change, options);
        }

        data.Add("empty", """{"version": "v3", "cluster-size": 4096}""");
        data.Add("empty", """{"version": "v3", "cluster-size": 512, "refcount-bits": 64}""");
        data.Add("empty", """{"version": "v2", "cluster-size": 512}""");
        return data;
    }

    [Theory]
    [MemberData(nameof(Changes))]
    public async Task A_power_loss_in_the_middle_leaves_the_old_or_the_new_and_nothing_corrupt(string change, string options)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(Size, options);
        byte[] first = await FillAsync(image, seed: 1), before = [.. first];
        if (change != "empty")
        {
            await using OpenedImage opened = await image.OpenAsync();
            await opened.Node.CreateSnapshotAsync(new() { Name = "first" }, default);
            await opened.Backend.WriteAsync(20_000, new byte[70_000]);
            before.AsSpan(20_000, 70_000).Clear();
        }

        PowerLoss loss;
        byte[] after = change switch { "empty" => new byte[Size], "apply" => first, _ => before };
        await using (OpenedImage opened = await image.OpenAsync())
        {
            loss = new PowerLoss(image.Memory.OpenNodes.Single(), seed: 7);
            await ChangeAsync(opened.Node, change);
        }

        Assert.Equal(after, await ReadAsync(image));
        Assert.Equal((0L, 0L), await CountProblemsAsync(image));
        Assert.True(loss.Survivors.Count > 10);
        foreach (byte[] survivor in loss.Survivors) await AssertSurvivedAsync(image, survivor, before, after, first, change);
    }

    /// <summary>New refcount blocks are made durable with the requests that need them, or with the next flush.</summary>
    [Theory]
    [InlineData(0, """{"version": "v3", "cluster-size": 512, "refcount-bits": 64}""")]
    [InlineData(0, """{"version": "v2", "cluster-size": 512}""")]
    [InlineData(1 << 20, """{"version": "v3", "cluster-size": 512, "refcount-bits": 64}""")]
    public async Task A_power_loss_between_new_refcount_blocks_leaves_what_was_written_or_nothing(long maxFlushedWithBlock, string options)
    {
        const int piece = 4096;
        await using MemoryImage image = await MemoryImage.CreateAsync(Size, options);
        PowerLoss loss;
        await using (OpenedImage opened = await image.OpenAsync())
        {
            opened.Node.Allocator.MaxFlushedWithBlock = maxFlushedWithBlock;
            loss = new PowerLoss(image.Memory.OpenNodes.Single(), seed: 3);
            for (int i = 0; i < Size / piece; i++)
            {
                await opened.Backend.WriteAsync(i * 37 % (Size / piece) * piece, Enumerable.Repeat((byte)0x5A, piece).ToArray());
                if (i % 20 == 19) await opened.Backend.FlushAsync();
            }
        }

        Assert.True(loss.Survivors.Count > 100);
        foreach (byte[] survivor in loss.Survivors)
        {
            image.Memory.Files["image"] = new MemoryBytes([.. survivor]);
            Assert.Equal(-1, (await ReadAsync(image)).AsSpan().IndexOfAnyExcept((byte)0, (byte)0x5A));
            (CheckResult result, List<string> lines) = await image.CheckAsync();
            Assert.True(result.Corruptions + result.CheckErrors == 0, string.Join('\n', lines));
        }
    }

    private static ValueTask ChangeAsync(Qcow2Image node, string change) => change switch
    {
        "empty" => node.MakeEmptyAsync(default),
        "create" => CreateAsync(node),
        "apply" => node.ApplySnapshotAsync("first", default),
        _ => node.DeleteSnapshotAsync(null, "first", default),
    };

    private static async ValueTask CreateAsync(Qcow2Image node) => await node.CreateSnapshotAsync(s_second, default);

    private static async Task AssertSurvivedAsync(MemoryImage image, byte[] survivor, byte[] before, byte[] after, byte[] first, string change)
    {
        image.Memory.Files["image"] = new MemoryBytes([.. survivor]);
        bool isVersion2 = survivor[7] == 2;
        byte[] found = await ReadAsync(image);
        bool isEmptied = change == "empty" && IsBetween(found, before);      // entries go one by one; what they showed is held elsewhere
        Assert.True(isEmptied || found.AsSpan().SequenceEqual(before) || found.AsSpan().SequenceEqual(after), "neither the old nor the new content");
        (CheckResult result, List<string> lines) = await image.CheckAsync();
        Assert.Equal(0, result.CheckErrors);

        // Refcounts and flags cannot change in one step, and version 2 has no dirty bit to say that they may disagree.
        if (isVersion2) Assert.DoesNotContain(lines, line => line.StartsWith("ERROR", StringComparison.Ordinal) && !line.Contains("OFLAG_COPIED"));
        else Assert.Equal(0, result.Corruptions);

        // Flags and refcounts are what later writes go by: none of them may reach a snapshot.
        if (change == "empty") return;
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, Enumerable.Repeat((byte)0x5A, Size).ToArray());
        if (opened.Node.InternalSnapshots.Any(s => s.Name == "first"))
        {
            await opened.Node.ApplySnapshotAsync("first", default);
            byte[] kept = new byte[Size];
            await opened.Backend.ReadAsync(0, kept);
            Assert.Equal(first, kept);
        }
    }

    private static bool IsBetween(byte[] found, byte[] before)
    {
        for (int i = 0; i < found.Length; i++)
        {
            if (found[i] != 0 && found[i] != before[i]) return false;
        }

        return true;
    }

    private static async Task<byte[]> FillAsync(MemoryImage image, int seed)
    {
        byte[] data = new byte[Size];
        new Random(seed).NextBytes(data.AsSpan(0, Size * 3 / 4));
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.WriteAsync(0, data.AsMemory(0, Size * 3 / 4));
        return data;
    }

    private static async Task<byte[]> ReadAsync(MemoryImage image)
    {
        byte[] found = new byte[Size];
        await using OpenedImage opened = await image.OpenAsync();
        await opened.Backend.ReadAsync(0, found);
        return found;
    }

    private static async Task<(long Corruptions, long Leaks)> CountProblemsAsync(MemoryImage image)
    {
        (CheckResult result, _) = await image.CheckAsync();
        return (result.Corruptions + result.CheckErrors, result.Leaks);
    }
}
