using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Random writes, sizes, snapshots and machine state against a model; the reference reads every snapshot of the result.</summary>
public sealed class Qcow2SnapshotPropertyTests : IDisposable
{
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    /// <summary>What a disk holds: guest data and, behind it, machine state.</summary>
    private sealed record Content(byte[] Disk, byte[] State)
    {
        public Content Copy() => new((byte[])Disk.Clone(), (byte[])State.Clone());
    }

    [Theory]
    [InlineData(9, 16, "v3", false)]
    [InlineData(14, 16, "v3", false, true)]
    [InlineData(9, 8, "v3", true)]
    [InlineData(12, 64, "v3", false)]
    [InlineData(16, 16, "v3", true)]
    [InlineData(12, 16, "v2", false)]
    [InlineData(10, 32, "v3", false)]
    public async Task Snapshots_hold_what_the_disk_held(int clusterBits, int refcountBits, string version, bool lazy, bool isExtended = false)
    {
        for (int seed = 0; seed < 2; seed++)
        {
            await RunAsync(seed + clusterBits * 10, clusterBits, $$"""
                {"cluster-size": {{1 << clusterBits}}, "refcount-bits": {{refcountBits}}, "version": "{{version}}"
                 {{(lazy ? ", \"lazy-refcounts\": true" : "")}} {{(isExtended ? ", \"extended-l2\": true" : "")}} }
                """, mayResize: version == "v3");
        }
    }

    private async Task RunAsync(int seed, int clusterBits, string options, bool mayResize)
    {
        var random = new Random(seed);
        int stateSize = 3 << clusterBits;
        var now = new Content(new byte[random.Next(4, 40) << clusterBits], new byte[stateSize]);
        var kept = new Dictionary<string, Content>();
        int next = 0;
        await using MemoryImage image = await MemoryImage.CreateAsync(now.Disk.Length, options);
        OpenedImage opened = await image.OpenAsync();
        for (int step = 0; step < 60; step++)
        {
            BlockBackend disk = opened.Backend;
            switch (random.Next(12))
            {
                case < 5:
                    Memory<byte> part = PartOf(now.Disk, random);
                    random.NextBytes(part.Span);
                    await disk.WriteAsync(OffsetOf(now.Disk, part), part);
                    break;
                case 5:
                    Memory<byte> zeroed = PartOf(now.Disk, random);
                    zeroed.Span.Clear();
                    await disk.WriteZeroesAsync(OffsetOf(now.Disk, zeroed), zeroed.Length, ZeroFlags.MayUnmap);
                    break;
                case 6:
                    Memory<byte> state = PartOf(now.State, random);
                    random.NextBytes(state.Span);
                    await disk.WriteVmStateAsync(OffsetOf(now.State, state), state);
                    break;
                case 7 or 8 when kept.Count < 6:
                    string name = $"s{next++}";
                    await Qcow2SnapshotTests.CreateAsync(opened, name);
                    kept.Add(name, now.Copy());
                    break;
                case 9 when kept.Count > 0:
                    string applied = kept.Keys.ElementAt(random.Next(kept.Count));
                    await Qcow2SnapshotTests.ApplyAsync(opened, applied);
                    now = kept[applied].Copy();
                    break;
                case 10 when kept.Count > 2:
                    string gone = kept.Keys.ElementAt(random.Next(kept.Count));
                    await Qcow2SnapshotTests.DeleteAsync(opened, gone);
                    kept.Remove(gone);
                    break;
                case 11 when mayResize && random.Next(2) == 0:
                    byte[] resized = new byte[random.Next(4, 40) << clusterBits];
                    now.Disk.AsSpan(0, Math.Min(resized.Length, now.Disk.Length)).CopyTo(resized);
                    await disk.Node.ResizeAsync(resized.Length, PreallocationMode.Off, default);
                    now = new Content(resized, await ReadStateAsync(disk, stateSize));   // what becomes of it is nobody's business
                    break;
                default:
                    await AssertHoldsAsync(opened, now, seed);
                    await opened.DisposeAsync();
                    await AssertCleanAsync(image, seed);
                    opened = await image.OpenAsync();
                    break;
            }
        }

        await AssertHoldsAsync(opened, now, seed);
        await opened.DisposeAsync();
        await AssertCleanAsync(image, seed);
        await AssertReferenceAgreesAsync(image, kept);
    }

    private static Memory<byte> PartOf(byte[] whole, Random random)
    {
        int start = random.Next(whole.Length / 512) * 512;
        return whole.AsMemory(start, Math.Min(random.Next(1, 1 + whole.Length / 1024) * 512, whole.Length - start));
    }

    private static int OffsetOf(byte[] whole, Memory<byte> part)
    {
        Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray(part, out ArraySegment<byte> segment) && segment.Array == whole);
        return segment.Offset;
    }

    private static async Task<byte[]> ReadStateAsync(BlockBackend disk, int size)
    {
        byte[] state = new byte[size];
        await disk.ReadVmStateAsync(0, state);
        return state;
    }

    private static async Task AssertHoldsAsync(OpenedImage opened, Content content, int seed)
    {
        Assert.Equal(content.Disk.Length, opened.Backend.Length);
        byte[] disk = new byte[content.Disk.Length];
        await opened.Backend.ReadAsync(0, disk);
        Assert.True(disk.AsSpan().SequenceEqual(content.Disk), $"disk, seed {seed}, at {disk.AsSpan().CommonPrefixLength(content.Disk)}");
        byte[] state = await ReadStateAsync(opened.Backend, content.State.Length);
        Assert.True(state.AsSpan().SequenceEqual(content.State), $"state, seed {seed}");
    }

    private static async Task AssertCleanAsync(MemoryImage image, int seed)
    {
        (CheckResult check, List<string> lines) = await image.CheckAsync();
        Assert.True(check is { Corruptions: 0, CheckErrors: 0, Leaks: 0 }, $"seed {seed}\n" + string.Join('\n', lines));
    }

    private static async Task AssertShownAsync(MemoryImage image, string name, Content content)
    {
        await using OpenedImage opened = await image.OpenAsync(readOnly: true);
        await InternalSnapshots.LoadAsync(opened.Backend.Node, SnapshotSelector.Parse(name));
        await AssertHoldsAsync(opened, content, seed: 0);
    }

    private async Task AssertReferenceAgreesAsync(MemoryImage image, Dictionary<string, Content> kept)
    {
        await File.WriteAllBytesAsync(_folder["image"], image.File.ToArray());
        Qcow2Fixture.AssertClean(_folder["image"]);
        string list = ReferenceTool.Run("qemu-img", "snapshot", "-l", "-U", _folder["image"]);
        foreach ((string name, Content content) in kept)
        {
            Assert.Contains($" {name} ", list);
            ReferenceTool.Run("qemu-img", "convert", "-l", $"snapshot.name={name}", "-O", "raw", _folder["image"], _folder["raw"]);

            // The reference shows every snapshot at the active disk's size.
            byte[] theirs = await File.ReadAllBytesAsync(_folder["raw"]);
            int common = Math.Min(theirs.Length, content.Disk.Length);
            Assert.True(theirs.AsSpan(0, common).SequenceEqual(content.Disk.AsSpan(0, common)), name);
            await AssertShownAsync(image, name, content);
        }

        foreach (string name in kept.Keys) ReferenceTool.Run("qemu-img", "snapshot", "-d", name, _folder["image"]);
        Qcow2Fixture.AssertClean(_folder["image"]);
    }
}
