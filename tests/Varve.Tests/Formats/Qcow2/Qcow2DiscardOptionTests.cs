using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Which of the clusters that an image gives up the host's file gives up too, measured by what it takes on the host.</summary>
public sealed class Qcow2DiscardOptionTests
{
    private const int Size = 4 << 20;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_the_guest_discards_is_passed_on_if_requests_are(bool passes)
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, ("pass-discard-request", passes));
        await disk.WriteAsync(0, Bytes());
        await disk.FlushAsync();
        long before = await AllocatedAsync(disk);
        await disk.DiscardAsync(0, Size);
        await disk.FlushAsync();
        Assert.Equal(passes ? Size : 0, before - await AllocatedAsync(disk));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_only_a_deleted_snapshot_held_is_passed_on_if_snapshots_are(bool passes)
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, ("pass-discard-snapshot", passes));
        await disk.WriteAsync(0, Bytes());
        await Qcow2Fixture.ImageOf(disk).CreateSnapshotAsync(new() { Name = "s" }, default);
        await disk.WriteAsync(0, Bytes());
        await disk.FlushAsync();
        long before = await AllocatedAsync(disk);
        await Qcow2Fixture.ImageOf(disk).DeleteSnapshotAsync(null, "s", default);
        long given = before - await AllocatedAsync(disk);
        Assert.True(passes ? given >= Size : given < 65536, $"{given}");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_a_write_replaces_is_passed_on_if_the_rest_is(bool passes)
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, ("pass-discard-other", passes));
        byte[] half = Bytes();
        for (int at = 0; at < Size; at += 65536) half.AsSpan(at, 32768).Clear();
        await disk.WriteAsync(0, half, WriteFlags.Compressed);
        await disk.WriteAsync(0, Bytes());
        await disk.FlushAsync();
        long extra = await AllocatedAsync(disk) - Size;
        Assert.True(passes ? extra < Size / 4 : extra > Size / 4, $"{extra}");
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Clusters_that_are_not_given_up_keep_their_place_and_their_content_is_passed_on_all_the_same(bool keeps, bool passes)
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, ("discard-no-unref", keeps), ("pass-discard-request", passes));
        await disk.WriteAsync(0, Bytes());
        await disk.FlushAsync();
        long before = await AllocatedAsync(disk), place = await PlaceAsync(disk);
        await disk.DiscardAsync(0, Size / 2);
        await disk.WriteZeroesAsync(Size / 2, Size / 2, ZeroFlags.MayUnmap);
        await disk.FlushAsync();
        byte[] found = new byte[Size];
        await disk.ReadAsync(0, found);
        Assert.Equal(-1, found.AsSpan().IndexOfAnyExcept((byte)0));
        Assert.Equal(passes ? Size : 0, before - await AllocatedAsync(disk));
        await disk.WriteAsync(Size - 65536, Bytes().AsMemory(0, 65536));      // would take the first free place
        await disk.WriteAsync(0, Bytes().AsMemory(0, 65536));
        Assert.Equal(keeps, await PlaceAsync(disk) == place);
        string path = fixture.Directory["a"];
        await fixture.CloseAsync(disk);
        Qcow2Fixture.AssertClean(path);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Clusters_that_are_not_given_up_keep_what_a_snapshot_has_there(bool zeroes)
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, ("discard-no-unref", true));
        await disk.WriteAsync(0, Bytes());
        await Qcow2Fixture.ImageOf(disk).CreateSnapshotAsync(new() { Name = "s" }, default);
        if (zeroes) await disk.WriteZeroesAsync(0, Size, ZeroFlags.MayUnmap);
        else await disk.DiscardAsync(0, Size);
        await Qcow2Fixture.ImageOf(disk).ApplySnapshotAsync("s", default);
        await AssertHoldsAsync(disk, Bytes());
    }

    [Fact]
    public async Task Clusters_that_are_not_given_up_keep_the_subclusters_that_are_not_zeroed()
    {
        await using var fixture = new Qcow2Fixture();
        BlockBackend disk = await OpenAsync(fixture, "extended_l2=on", ("discard-no-unref", true));
        byte[] bytes = Bytes();
        await disk.WriteAsync(0, bytes);
        await disk.WriteZeroesAsync(2048, 70_000, ZeroFlags.MayUnmap);
        bytes.AsSpan(2048, 70_000).Clear();
        await AssertHoldsAsync(disk, bytes);
    }

    private static async Task AssertHoldsAsync(BlockBackend disk, byte[] bytes)
    {
        byte[] found = new byte[bytes.Length];
        await disk.ReadAsync(0, found);
        Assert.Equal(bytes.Length, found.AsSpan().CommonPrefixLength(bytes));
    }

    private static Task<BlockBackend> OpenAsync(Qcow2Fixture fixture, params (string Name, bool Value)[] options) => OpenAsync(fixture, "", options);

    private static async Task<BlockBackend> OpenAsync(Qcow2Fixture fixture, string creation, params (string Name, bool Value)[] options)
    {
        var runtime = new JsonObject { ["pass-discard-request"] = true, ["pass-discard-snapshot"] = false, ["pass-discard-other"] = false };
        foreach ((string name, bool value) in options) runtime[name] = value;
        return await fixture.OpenAsync(fixture.CreateByReference("a", $"{Size}", creation), options: runtime);
    }

    private static byte[] Bytes()
    {
        byte[] bytes = new byte[Size];
        new Random(3).NextBytes(bytes);
        return bytes;
    }

    private static async Task<long> AllocatedAsync(BlockBackend disk)
        => (await Qcow2Fixture.ImageOf(disk).File.Node.GetAllocatedSizeAsync(default))!.Value;

    private static async Task<long> PlaceAsync(BlockBackend disk) => (await disk.Node.GetStatusAsync(0, 65536, precise: true, default)).HostOffset;
}
