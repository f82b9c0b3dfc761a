using System.Diagnostics;
using Varve.Tests.Cli;
using Varve.Tests.Support;

namespace Varve.Tests.Hostile;

/// <summary>Every image of the corpus: the verdict, the error, and what looking at it costs. Not beside other tests: memory is counted.</summary>
[Collection(nameof(HostileCorpusTests))]
[CollectionDefinition(nameof(HostileCorpusTests), DisableParallelization = true)]
public sealed class HostileCorpusTests : IDisposable
{
    /// <summary>An L1 table of the largest size that is accepted is 32 MiB; nothing needs several copies of it.</summary>
    private const long AllocationLimit = 200 << 20;

    private static readonly TimeSpan s_timeLimit = TimeSpan.FromSeconds(20);
    private readonly TempDirectory _folder = new();

    public static TheoryData<string> Names => [.. HostileCorpus.All.Select(i => i.Name)];

    private static HostileImage Find(string name) => HostileCorpus.All.Single(i => i.Name == name);

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Inspecting_says_what_is_wrong_and_reads_a_bounded_amount(string name)
    {
        HostileImage image = Find(name);
        string path = Write(image);
        ImageInspection inspection = null!;
        await BoundedAsync(async () => inspection = await ImageInspector.InspectAsync(path, new InspectionOptions { Format = image.Format }, default));
        string found = string.Join("\n", inspection.Findings);
        Assert.True(image.Verdict == inspection.Verdict, $"{inspection.Verdict}: {found}");
        if (image.Code.Length > 0) Assert.True(inspection.Findings.Any(f => f.Code == image.Code), found);
        Assert.InRange(inspection.BytesRead, 0, ImageInspector.ReadLimit);
        Assert.True(inspection.Findings.Count < 40, found);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Opening_ends_in_the_error_expected_or_in_data_within_bounds(string name)
    {
        HostileImage image = Find(name);
        string path = Write(image);
        await BoundedAsync(async () =>
        {
            await using var layer = new BlockLayer();
            VirtualDisk disk;
            try
            {
                disk = await layer.OpenAsync(path, new DiskOpening { Format = image.Format });
            }
            catch (BlockException e)
            {
                Assert.True(image.Error is not null, "opening was to succeed: " + e.Message);
                Assert.Contains(image.Error, e.Message);
                return;
            }

            await using (disk)
            {
                Assert.True(image.Error is null, "opening was to fail");
                await ReadSomeAsync(disk);
            }
        });
    }

    [Theory]
    [MemberData(nameof(Names))]
    public async Task Checking_ends_in_an_answer_within_bounds(string name)
    {
        HostileImage image = Find(name);
        string path = Write(image);
        await BoundedAsync(() => ToolRun.ImgAsync("check", "-f", image.Format, path));
    }

    private static async Task ReadSomeAsync(VirtualDisk disk)
    {
        byte[] buffer = new byte[64 << 10];
        long length = Math.Min(disk.Length, 4 << 20);
        for (long offset = 0; offset < length; offset += buffer.Length)
        {
            try
            {
                await disk.ReadAsync(offset, buffer.AsMemory(0, (int)Math.Min(buffer.Length, length - offset)));
            }
            catch (BlockException)
            {
                // A cluster that cannot be read says so; the next may be whole.
            }
        }
    }

    private static async Task BoundedAsync(Func<Task> use)
    {
        long before = GC.GetTotalAllocatedBytes();
        long started = Stopwatch.GetTimestamp();
        await Task.Run(use).WaitAsync(s_timeLimit);
        Assert.InRange(Stopwatch.GetElapsedTime(started), TimeSpan.Zero, s_timeLimit);
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, AllocationLimit);
    }

    private string Write(HostileImage image)
    {
        string path = _folder[HostileCorpus.OwnName];
        File.WriteAllBytes(path, image.Bytes);
        return path;
    }

    public void Dispose() => _folder.Dispose();
}
