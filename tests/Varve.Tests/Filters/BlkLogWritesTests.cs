using Varve.Filters.BlkLogWrites;
using Varve.Tests.Cli;

namespace Varve.Tests.Filters;

public sealed class BlkLogWritesTests : IDisposable
{
    private readonly ImgFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    private string Options(string log, string more = "")
        => $"driver=blklogwrites,file.driver=raw,file.file.filename={_folder["disk"]},log.driver=raw,log.file.filename={log}{more}";

    [Fact]
    public void The_superblock_and_an_entry_have_the_bytes_of_dm_log_writes()
    {
        byte[] superblock = new byte[LogSuperblock.Size], entry = new byte[LogEntry.Size];
        new LogSuperblock(EntryCount: 7, SectorSize: 512).WriteTo(superblock);
        Assert.Equal("72687377-66736A00-01000000-00000000-07000000-00000000-00020000".Replace("-", "", StringComparison.Ordinal), Convert.ToHexString(superblock));
        Assert.Equal(new LogSuperblock(7, 512), LogSuperblock.Read(superblock));
        var written = new LogEntry(0x10, 8, LogEntryFlags.Discard);
        written.WriteTo(entry);
        Assert.Equal("1000000000000000080000000000000004000000000000000000000000000000", Convert.ToHexString(entry));
        Assert.Equal(written, LogEntry.Read(entry));
    }

    [Theory]
    [InlineData("")]
    [InlineData(",log-sector-size=4096")]
    [InlineData(",log-append=on")]
    public async Task The_log_is_the_reference_s_byte_for_byte_but_for_what_closing_adds(string more)
    {
        var logs = new List<byte[]>();
        foreach (bool ours in new[] { true, false })
        {
            _folder.Raw("disk", 1.MiB);
            string log = _folder.Raw($"log{ours}", 0);
            string[] arguments = ["--cache", "writeback", "--image-opts", Options(log, more),
                .. new[] { "write -P 7 1k 1k", "flush", "write -P 9 4k 512", "discard 8k 4k", "write -z 16k 4k", "flush" }.SelectMany(c => new[] { "-c", c })];
            ToolRun run = ours ? await ToolRun.IoAsync(arguments) : await ToolRun.ReferenceAsync("qemu-io", arguments);
            Assert.Equal(0, run.ExitCode);
            logs.Add(await File.ReadAllBytesAsync(log, TestContext.Current.CancellationToken));
        }

        // The reference flushes once more when it closes, which is an entry too.
        foreach (byte[] log in logs) log.AsSpan(16, 8).Clear();
        Assert.Equal(logs[1][..Math.Min(logs[0].Length, logs[1].Length)], logs[0][..Math.Min(logs[0].Length, logs[1].Length)]);
        Assert.InRange(logs[1].Length - logs[0].Length, 0, 2 * 4096);
    }

    [Fact]
    public async Task A_log_is_continued_where_it_ended()
    {
        _folder.Raw("disk", 1.MiB);
        string log = _folder.Raw("log", 0);
        foreach (string command in new[] { "write -P 1 0 512", "write -P 2 512 512" })
        {
            Assert.Equal(0, (await ToolRun.IoAsync(["--cache", "writeback", "--image-opts", Options(log, ",log-append=on"), "-c", command, "-c", "flush"])).ExitCode);
        }

        byte[] bytes = await File.ReadAllBytesAsync(log, TestContext.Current.CancellationToken);
        Assert.Equal(4, LogSuperblock.Read(bytes).EntryCount);
        Assert.Equal(new LogEntry(1, 1, LogEntryFlags.None), LogEntry.Read(bytes.AsSpan(4 * 512)));
        Assert.Equal(2, bytes[5 * 512]);
    }

    [Theory]
    [InlineData(",log-sector-size=1000", "Invalid log sector size 1000")]
    [InlineData(",log-super-update-interval=0", "Invalid log superblock update interval 0")]
    [InlineData(",log-append=on", "Invalid log superblock magic 0x0")]
    public async Task A_log_that_cannot_be_is_refused(string more, string message)
    {
        _folder.Raw("disk", 1.MiB);
        Assert.Contains(message, (await ToolRun.IoAsync(["--image-opts", Options(_folder.Raw("log", 4096), more), "-c", "length"])).Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_log_that_promises_more_entries_than_it_has_is_refused()
    {
        _folder.Raw("disk", 1.MiB);
        byte[] log = new byte[2048];
        new LogSuperblock(long.MaxValue, 512).WriteTo(log);
        await File.WriteAllBytesAsync(_folder["log"], log, TestContext.Current.CancellationToken);
        ToolRun run = await ToolRun.IoAsync(["--image-opts", Options(_folder["log"], ",log-append=on"), "-c", "length"]);
        Assert.Contains("Log ends after 3 of 9223372036854775807 entries", run.Error, StringComparison.Ordinal);
    }
}
