using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Fails the n-th request to the file, for every n: the client's view stays right, and the image consistent.</summary>
public sealed class Qcow2ErrorPathTests
{
    private const int Size = 96 << 10;

    [Theory]
    [InlineData("""{"cluster-size": 4096}""", false)]
    [InlineData("""{"cluster-size": 4096}""", true)]
    [InlineData("""{"cluster-size": 512, "refcount-bits": 1}""", false)]
    [InlineData("""{"cluster-size": 512, "refcount-bits": 64}""", true)]
    [InlineData("""{"cluster-size": 1024, "lazy-refcounts": true}""", false)]
    [InlineData("""{"cluster-size": 65536, "version": "v2"}""", true)]
    public async Task Whichever_request_fails_the_view_is_right_and_the_image_consistent(string options, bool staysBroken)
    {
        int requests = int.MaxValue;
        for (int failing = 0; failing < requests; failing++)
        {
            int made = await RunAsync(options, failing, staysBroken);
            if (failing >= made) requests = made;
        }

        Assert.InRange(requests, 20, 10000);
    }

    /// <summary>One run; returns how many requests were made.</summary>
    private static async Task<int> RunAsync(string options, int failing, bool staysBroken)
    {
        await using MemoryImage image = await MemoryImage.CreateAsync(Size, Backed(options));
        image.Memory.Files["base"] = new MemoryBytes(Enumerable.Repeat((byte)0xBB, Size).ToArray());
        byte[] before = Enumerable.Repeat((byte)0xBB, Size).ToArray(), after = (byte[])before.Clone();
        int made = 0;
        await using (OpenedImage opened = await image.OpenAsync(
            backing: new JsonObject { ["driver"] = "raw", ["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "base" } }))
        {
            MemoryNode file = image.Memory.OpenNodes.Single(n => ReferenceEquals(n.Bytes, image.File));
            bool isArmed = true;
            file.OnRequest = (_, _, _) =>
            {
                int index = made++;
                bool fails = isArmed && (staysBroken ? index >= failing && index < failing + 12 : index == failing);
                return fails ? ValueTask.FromException(BlockException.FromErrno(Errno.EIO)) : default;
            };
            string recorded = await WorkAsync(opened, before, after);
            isArmed = false;

            byte[] found = new byte[Size];
            await opened.Backend.ReadAsync(0, found);
            AssertEither(before, after, found, failing);
            Assert.Equal(recorded, opened.Node.RecordedBackingFile);
            await opened.Backend.FlushAsync();
            await opened.Backend.ReadAsync(0, before);
            Assert.Equal(found, before);
            file.OnRequest = null;
        }

        (CheckResult check, List<string> lines) = await image.CheckAsync();
        Assert.True(check is { Corruptions: 0, CheckErrors: 0 }, $"request {failing}: {string.Join('\n', lines)}");
        await using OpenedImage again = await image.OpenAsync(
            readOnly: true, backing: new JsonObject { ["driver"] = "raw", ["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "base" } });
        byte[] reread = new byte[Size];
        await again.Backend.ReadAsync(0, reread);
        Assert.Equal(before, reread);
        return made;
    }

    /// <summary>Some of everything; what fails leaves its range open between <paramref name="before"/> and <paramref name="after"/>.</summary>
    private static async Task<string> WorkAsync(OpenedImage image, byte[] before, byte[] after)
    {
        string recorded = "base";
        for (int i = 0; i < 14; i++)
        {
            (int offset, int length) = ((i * 7919 + 300) % (Size - 9000), 200 + (i * 977 % 8000));
            byte value = (byte)(i % 5 == 3 ? 0 : i + 1);
            bool done = await TryAsync(async () =>
            {
                if (value == 0) await image.Backend.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap);
                else await image.Backend.WriteAsync(offset, Enumerable.Repeat(value, length).ToArray());
            });
            for (int at = offset; at < offset + length; at++)
            {
                if (done) before[at] = value;
                after[at] = value;
            }

            // What was written over a range left open is certain again only where it succeeded.
            if (done) before.AsSpan(offset, length).CopyTo(after.AsSpan(offset));
            if (i % 4 == 2) await TryAsync(() => image.Backend.FlushAsync());
            if (i == 6 && await TryAsync(() => image.Node.ChangeBackingFileAsync("a-new-name", "raw", default))) recorded = "a-new-name";
            if (!done) return recorded;     // open ranges must not overlap: one failed write a run
        }

        return recorded;
    }

    private static async Task<bool> TryAsync(Func<ValueTask> request)
    {
        try
        {
            await request();
            return true;
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Io)
        {
            return false;
        }
    }

    private static void AssertEither(byte[] before, byte[] after, byte[] found, int failing)
    {
        for (int i = 0; i < found.Length; i++)
        {
            Assert.True(found[i] == before[i] || found[i] == after[i], $"request {failing} failed: byte {i} is {found[i]}, not {before[i]} or {after[i]}");
        }
    }

    private static string Backed(string options)
        => options.TrimEnd('}') + ", \"backing-file\": \"base\", \"backing-fmt\": \"raw\"}";
}
