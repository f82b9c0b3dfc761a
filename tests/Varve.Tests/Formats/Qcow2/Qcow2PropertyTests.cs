using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Many clients at once against a <c>byte[]</c>, over every geometry; the reference's tools have the last word.</summary>
/// <remarks>Each client owns every n-th slot of the disk, so that they meet in clusters and never in bytes.</remarks>
public sealed class Qcow2PropertyTests : IDisposable
{
    private const int Clients = 4;
    private readonly TempDirectory _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<int> ClusterBits => [.. Enumerable.Range(9, 13)];

    [Theory]
    [MemberData(nameof(ClusterBits))]
    public async Task Concurrent_requests_leave_what_a_byte_array_holds_and_the_reference_agrees(int clusterBits)
    {
        for (int refcountOrder = 0; refcountOrder <= 6; refcountOrder++)
        {
            await RunAsync(clusterBits, refcountOrder, seed: clusterBits * 100 + refcountOrder);
        }
    }

    [Theory]
    [InlineData(14)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(17)]
    [InlineData(21)]
    public async Task Subclusters_hold_what_a_byte_array_holds_and_the_reference_agrees(int clusterBits)
    {
        for (int refcountOrder = 0; refcountOrder <= 6; refcountOrder += 2)
        {
            await RunAsync(clusterBits, refcountOrder, seed: clusterBits * 1000 + refcountOrder, hasSubclusters: true);
        }
    }

    [Theory]
    [InlineData(9, """{"format": "luks", "key-secret": "s", "iter-time": 0}""")]
    [InlineData(16, """{"format": "luks", "key-secret": "s", "iter-time": 0}""")]
    [InlineData(14, """{"format": "luks", "key-secret": "s", "iter-time": 0, "cipher-alg": "aes-128", "cipher-mode": "cbc", "ivgen-alg": "essiv"}""")]
    [InlineData(12, """{"format": "qcow", "key-secret": "s"}""")]
    public async Task The_same_holds_for_an_encrypted_image_and_its_file_shows_nothing(int clusterBits, string encryption)
        => await RunAsync(clusterBits, refcountOrder: 4, seed: clusterBits, encryption: encryption);

    private async Task RunAsync(int clusterBits, int refcountOrder, int seed, bool hasSubclusters = false, string? encryption = null)
    {
        var random = new Random(seed);
        int size = (int)Align.Up(random.Next(3 << clusterBits, 12 << Math.Min(clusterBits, 19)), 512);
        bool isOld = refcountOrder == 4 && random.Next(2) == 0 && !hasSubclusters, hasBacking = random.Next(2) == 0;
        byte[] backing = hasBacking ? Pattern(seed, random.Next(size / 2, size + 5000) & ~511) : [];
        byte[] model = new byte[size];
        backing.AsSpan(0, Math.Min(backing.Length, size)).CopyTo(model);

        await using MemoryImage image = await MemoryImage.CreateAsync(
            size, Options(clusterBits, refcountOrder, isOld, hasBacking, hasSubclusters, encryption));
        image.Memory.Files["base"] = new MemoryBytes(backing);
        await using (OpenedImage opened = await image.OpenAsync(backing: hasBacking ? BackingOptions() : null))
        {
            MakeRequestsAsynchronous(image, seed);
            int slot = random.Next(100, 3000) << Math.Max(0, clusterBits - 13);
            await Task.WhenAll(Enumerable.Range(0, Clients).Select(c => Task.Run(() => ClientAsync(opened.Backend, model, slot, c, new Random(seed + c)))));
            await AssertReadsAsync(opened.Backend, model);
            await opened.Backend.FlushAsync();
        }

        (CheckResult check, List<string> lines) = await image.CheckAsync();
        Assert.True(check is { Corruptions: 0, CheckErrors: 0 }, string.Join('\n', lines));
        await AssertReferenceAgreesAsync(image, backing, model);
    }

    private static string Options(int clusterBits, int refcountOrder, bool isOld, bool hasBacking, bool hasSubclusters, string? encryption) => $$"""
        {"cluster-size": {{1 << clusterBits}}, "refcount-bits": {{1 << refcountOrder}}, "version": "{{(isOld ? "v2" : "v3")}}",
         "extended-l2": {{(hasSubclusters ? "true" : "false")}}
         {{(hasBacking ? ", \"backing-file\": \"base\", \"backing-fmt\": \"raw\"" : "")}} {{(encryption is null ? "" : $", \"encrypt\": {encryption}")}} }
        """;

    private static JsonObject BackingOptions()
        => new() { ["driver"] = "raw", ["file"] = new JsonObject { ["driver"] = "memory", ["filename"] = "base" } };

    /// <summary>Requests complete on other threads and out of order, as a disk's do.</summary>
    private static void MakeRequestsAsynchronous(MemoryImage image, int seed)
    {
        var random = new Random(seed);
        foreach (MemoryNode node in image.Memory.OpenNodes)
        {
            node.OnRequest = async (_, _, _) =>
            {
                int yields;
                lock (random) yields = random.Next(4);
                while (yields-- > 0) await Task.Yield();
            };
        }
    }

    private static async Task ClientAsync(BlockBackend disk, byte[] model, int slotSize, int client, Random random)
    {
        int slots = (model.Length + slotSize - 1) / slotSize;
        for (int i = 0; i < 40; i++)
        {
            int slot = random.Next(slots / Clients + 1) * Clients + client;
            if (slot >= slots) continue;
            int start = slot * slotSize, room = Math.Min(slotSize, model.Length - start);
            int offset = start + random.Next(room), length = random.Next(1, start + room - offset + 1);
            switch (random.Next(10))
            {
                case < 5:
                    byte[] data = Pattern(random.Next(), length);
                    await disk.WriteAsync(offset, data, random.Next(8) == 0 ? WriteFlags.Fua : WriteFlags.None);
                    data.CopyTo(model, offset);
                    break;
                case < 7:
                    await disk.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    model.AsSpan(offset, length).Clear();
                    break;
                case 7:
                    await disk.DiscardAsync(offset, length);
                    byte[] left = new byte[length];
                    await disk.ReadAsync(offset, left);
                    left.CopyTo(model, offset);     // a discard promises nothing: what is there now must stay
                    break;
                case 8:
                    byte[] read = new byte[length];
                    await disk.ReadAsync(offset, read);
                    Assert.True(read.AsSpan().SequenceEqual(model.AsSpan(offset, length)), $"client {client} at {offset}");
                    break;
                default:
                    await disk.FlushAsync();
                    break;
            }
        }
    }

    private static async Task AssertReadsAsync(BlockBackend disk, byte[] model)
    {
        byte[] all = new byte[model.Length];
        await disk.ReadAsync(0, all);
        Assert.Equal(model.Length, all.AsSpan().CommonPrefixLength(model));
    }

    private async Task AssertReferenceAgreesAsync(MemoryImage image, byte[] backing, byte[] model)
    {
        await File.WriteAllBytesAsync(_folder["image"], image.File.ToArray());
        await File.WriteAllBytesAsync(_folder["base"], backing);
        string[] secret = ["--object", $"secret,id=s,data={MemoryImage.Password}"];
        string name = $"driver=qcow2,file.filename={_folder["image"]}{(image.IsEncrypted ? ",encrypt.key-secret=s" : "")}";
        Tool.Result check = await Tool.RunAsync("qemu-img", ["check", .. secret, "--image-opts", name]);
        Assert.True(check.ExitCode is 0 or 3, check.Output + check.Error);      // 3: leaks only
        Tool.Result convert = await Tool.RunAsync("qemu-img", ["convert", .. secret, "-O", "raw", "--image-opts", name, _folder["raw"]]);
        Assert.True(convert.ExitCode == 0, convert.Error);
        byte[] theirs = await File.ReadAllBytesAsync(_folder["raw"]);
        Assert.Equal(model.Length, theirs.AsSpan().CommonPrefixLength(model));
    }

    private static byte[] Pattern(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
