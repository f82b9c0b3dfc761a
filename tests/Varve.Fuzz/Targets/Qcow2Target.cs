using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Graph;
using Varve.Inspection;
using Varve.Tests.Hostile;
using static Varve.Tests.Hostile.HostileQcow2;

namespace Varve.Fuzz.Targets;

/// <summary>A qcow2 image in which some places are the input's; it is inspected, opened, used, checked and repaired.</summary>
internal sealed class Qcow2Target(string name, Func<HostileQcow2> image, params (int At, int Length)[] places) : FuzzTarget
{
    public static IReadOnlyList<FuzzTarget> Each { get; } =
    [
        new Qcow2Target("qcow2-header", () => new HostileQcow2().Backing("base", "raw"), (0, 640), (2048, 16)),
        new Qcow2Target("qcow2-l2", () => new HostileQcow2(), (79, 1), (L1, 16), (L2, 256), (Data, 128)),
        new Qcow2Target("qcow2-refcounts", () => new HostileQcow2(), (48, 16), (96, 4), (RefcountTable, 64), (RefcountBlock, 64)),
        new Qcow2Target("qcow2-snapshots", HostileCorpus.WithSnapshot, (60, 12), (Data, 192), (Data + Cluster, 32)),
        new Qcow2Target("qcow2-bitmaps", HostileCorpus.WithBitmap, (88, 8), (104, 32), (Data, 192), (Data + Cluster, 32)),
    ];

    public override string Name => name;

    public override bool HasFixedLayout => true;

    public override int MaxLength => places.Sum(p => p.Length);

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            yield return Take(image().Bytes);
            foreach (HostileImage hostile in HostileCorpus.All.Where(i => i.Format == "qcow2" && i.Bytes.Length >= image().Bytes.Length && i.Bytes.Length < 1 << 20))
            {
                yield return Take(hostile.Bytes);
            }
        }
    }

    public override string Run(byte[] input)
    {
        byte[] bytes = image().Bytes;
        int taken = 0;
        foreach ((int at, int length) in places)
        {
            int count = Math.Min(length, input.Length - taken);
            input.AsSpan(taken, count).CopyTo(bytes.AsSpan(at));
            taken += count;
        }

        var source = new InspectionSource(bytes.Length, (buffer, offset) => bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer), ImageInspector.ReadLimit);
        string verdict = string.Join(' ', ImageInspector.Inspect(source, new InspectionOptions(), "image").Findings.Select(f => f.Code));
        return verdict + " | " + Qcow2Use.RunAsync(bytes, input).GetAwaiter().GetResult();
    }

    private byte[] Take(byte[] bytes) => [.. places.SelectMany(p => bytes[p.At..(p.At + p.Length)])];
}

/// <summary>What is done with an image: by the input, so that the same input does the same.</summary>
internal static class Qcow2Use
{
    private const BlockPermissions ReadWrite = BlockPermissions.ConsistentRead | BlockPermissions.Write | BlockPermissions.Resize;

    public static async Task<string> RunAsync(byte[] bytes, byte[] input)
    {
        int seed = 17;
        foreach (byte b in input) seed = unchecked(seed * 31 + b);
        var random = new Random(seed);
        bool isCheck = random.Next(4) == 0, isReadOnly = random.Next(4) == 0;
        var files = new FuzzFileDriver { Content = bytes };
        await using var graph = new BlockGraph(new BlockDrivers([files, new Qcow2Driver(), new RawDriver()]));
        using IDisposable held = await graph.ControlLock.EnterAsync();
        var options = new JsonObject { ["driver"] = "qcow2", ["file"] = new JsonObject { ["driver"] = "fuzz" }, ["read-only"] = isReadOnly };
        if (random.Next(2) == 0) options["backing"] = null;
        if (random.Next(4) == 0) options["overlap-check"] = "all";
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext { ForCheck = isCheck, NoBacking = isCheck }, new NodeSettings { Discard = true });
        BlockBackend disk;
        try
        {
            disk = await graph.OpenBackendAsync(node, isReadOnly ? BlockPermissions.ConsistentRead : ReadWrite, BlockPermissions.All);
        }
        finally
        {
            await graph.ReleaseAsync(node);
        }

        string ending = "opened";
        if (isCheck) ending = await EndingAsync(() => CheckAsync(node, isReadOnly ? CheckRepair.None : (CheckRepair)random.Next(3)));
        byte[] buffer = new byte[20_000];
        for (int step = isCheck ? 20 : 0; step < 20; step++)
        {
            long length = Math.Min(disk.Length, buffer.Length), at = random.NextInt64(Math.Min(disk.Length, 1 << 20) - length + 1);
            AllocationLimit.Check();
            string last = await EndingAsync(() => StepAsync(disk, node, random, at, length, buffer));
            if (last.Length > 0) ending = last;
        }

        string closing = await EndingAsync(async () => await disk.CloseAsync());
        return closing.Length > 0 ? closing : ending;
    }

    private static async Task StepAsync(BlockBackend disk, BlockNode node, Random random, long at, long length, byte[] buffer)
    {
        switch (random.Next(12))
        {
            case 0: await disk.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap); break;
            case 1: await disk.DiscardAsync(at, length); break;
            case 2: await disk.FlushAsync(); break;
            case 3 or 4: await disk.ReadAsync(at, buffer.AsMemory(0, (int)length)); break;
            case 5: await disk.RunAsync((n, _, token) => n.GetStatusAsync(at, length, precise: true, token), 0); break;
            case 6: await InternalSnapshots.CreateAsync(node, new InternalSnapshot { Name = "new" }); break;
            case 7 when InternalSnapshots.Of(node) is [var first, ..]: await InternalSnapshots.ApplyAsync(node, first.Id); break;
            case 8 when InternalSnapshots.Of(node) is [var first, ..]: await InternalSnapshots.DeleteAsync(node, first.Id, first.Name); break;
            case 9: node.GetSpecificInfo(); break;
            default: await disk.WriteAsync(at, buffer.AsMemory(0, (int)length)); break;
        }
    }

    private static async Task CheckAsync(BlockNode node, CheckRepair repair) => await node.CheckAsync(repair, null, CancellationToken.None);

    /// <summary>The message of the one exception that is allowed; empty where there was none.</summary>
    private static async Task<string> EndingAsync(Func<Task> use)
    {
        try
        {
            await use();
            return "";
        }
        catch (BlockException e)
        {
            return e.Message;
        }
    }
}
