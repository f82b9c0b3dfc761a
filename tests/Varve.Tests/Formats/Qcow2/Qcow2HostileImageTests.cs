using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Images whose metadata was changed at random: whatever they say, only <see cref="BlockException"/> may come of it.</summary>
public sealed class Qcow2HostileImageTests
{
    private const int Size = 300 << 10;

    [Theory]
    [InlineData(512, 16)]
    [InlineData(4096, 1)]
    [InlineData(65536, 64)]
    public async Task Damaged_metadata_ends_in_a_block_exception_or_in_data(int clusterSize, int refcountBits)
    {
        byte[] image = CreateImage(clusterSize, refcountBits);
        for (int seed = 0; seed < 150; seed++)
        {
            byte[] damaged = Damage(image, clusterSize, new Random(seed));
            Task use = Task.Run(() => UseAsync(damaged, seed));
            Assert.True(ReferenceEquals(use, await Task.WhenAny(use, Task.Delay(60_000))), $"seed {seed} hangs");
            await use;
        }
    }

    private static byte[] CreateImage(int clusterSize, int refcountBits)
    {
        using var folder = new TempDirectory();
        string options = $"cluster_size={clusterSize},refcount_bits={refcountBits}";
        ReferenceTool.Run("qemu-img", "create", "-q", "-f", "raw", folder["raw"], $"{Size}");
        ReferenceTool.Run("qemu-io", "-f", "raw", "-c", "write -P 3 0 100k", folder["raw"]);
        ReferenceTool.Run("qemu-img", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", options, folder["raw"], folder["a"]);
        ReferenceTool.Run("qemu-io", "-f", "qcow2", "-c", "write -P 1 50k 100k", "-c", "write -z 160k 64k", folder["a"]);
        if (refcountBits > 1) ReferenceTool.Run("qemu-img", "snapshot", "-c", "s", folder["a"]);
        return File.ReadAllBytes(folder["a"]);
    }

    /// <summary>Changes bytes where metadata is likely: the header, and words that look like table entries.</summary>
    private static byte[] Damage(byte[] image, int clusterSize, Random random)
    {
        byte[] damaged = [.. image];
        List<int> entries = [.. Enumerable.Range(clusterSize / 8, (image.Length - clusterSize) / 8).Select(i => i * 8)
            .Where(at => image[at] is 0x80 or 0x40 or 0 && image.AsSpan(at, 8).ContainsAnyExcept((byte)0))];
        for (int changes = random.Next(1, 4); changes > 0; changes--)
        {
            int at = random.Next(3) switch
            {
                0 => random.Next(24, 112),
                1 => random.Next(damaged.Length),
                _ => entries[random.Next(entries.Count)] + random.Next(8),
            };
            damaged[at] = (byte)(random.Next(2) == 0 ? random.Next(256) : damaged[at] ^ (1 << random.Next(8)));
        }

        return damaged;
    }

    private static async Task UseAsync(byte[] image, int seed)
    {
        var memory = new MemoryDriver { Files = { ["a"] = new MemoryBytes(image) } };
        var graph = new BlockGraph(new BlockDrivers([memory, new Qcow2Driver()]));
        BlockBackend? disk = null;
        try
        {
            var options = new JsonObject { ["driver"] = "qcow2", ["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "a" } };
            BlockNode node = await graph.OpenNodeAsync(options, new OpenContext(), new NodeSettings { Discard = true });
            disk = await graph.OpenBackendAsync(node, Qcow2Fixture.ReadWrite, BlockPermissions.ConsistentRead);
            await graph.ReleaseAsync(node);
        }
        catch (BlockException)
        {
            await graph.DisposeAsync();
            return;
        }

        // A write to an entry that points far away would need a file of that size: memory is no place for it.
        memory.OpenNodes[0].OnRequest = (kind, offset, length) =>
            kind == "write" && offset + length > 64 << 20 ? throw BlockException.FromErrno(Errno.EFBIG) : default;
        var random = new Random(seed);
        byte[] buffer = new byte[20_000];
        for (int step = 0; step < 40; step++)
        {
            long length = Math.Min(disk.Length, buffer.Length), at = random.NextInt64(Math.Min(disk.Length, Size) - length + 1);
            try
            {
                switch (random.Next(6))
                {
                    case 0: await disk.WriteZeroesAsync(at, length, ZeroFlags.MayUnmap); break;
                    case 1: await disk.DiscardAsync(at, length); break;
                    case 2: await disk.FlushAsync(); break;
                    case 3: await disk.ReadAsync(at, buffer.AsMemory(0, (int)length)); break;
                    case 4: await disk.RunAsync((n, _, token) => n.GetStatusAsync(at, length, precise: true, token), 0); break;
                    default: await disk.WriteAsync(at, buffer.AsMemory(0, (int)length)); break;
                }
            }
            catch (BlockException)
            {
                // What a hostile image may do to us.
            }
        }

        try
        {
            await disk.CloseAsync();
        }
        catch (BlockException)
        {
            // Closing writes metadata back, to wherever the image says.
        }

        await graph.DisposeAsync();
    }
}
