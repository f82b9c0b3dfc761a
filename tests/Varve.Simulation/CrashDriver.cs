using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Simulation;

/// <summary>The protocol <c>crash:NAME</c>: files of a <see cref="CrashDisk"/>.</summary>
internal sealed class CrashDriver(CrashDisk disk) : BlockDriver
{
    public override string Name => "crash";

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = ["crash"];

    public override IReadOnlyList<OptionMember> Options { get; } = [OptionMember.Required("filename", OptionType.Str)];

    public override IReadOnlyList<string> StrongOptions { get; } = ["filename"];

    public override JsonObject ParseFilename(string filename) => new() { ["filename"] = filename["crash:".Length..] };

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        string name = opening.TakeString("filename")!;
        if (name.StartsWith("crash:", StringComparison.Ordinal)) name = name["crash:".Length..];
        return disk.Files.TryGetValue(name, out CrashFile? file)
            ? new(new CrashNode(opening, disk, name, file))
            : throw new BlockException(BlockErrorKind.NotFound, $"Could not open '{name}': {Errno.Text(Errno.ENOENT)}");
    }
}

/// <summary>An open file of a <see cref="CrashDisk"/>.</summary>
internal sealed class CrashNode(NodeOpening opening, CrashDisk disk, string name, CrashFile file) : BlockNode(opening)
{
    public string Name { get; } = name;

    public override long Length => file.Length;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => disk.RequestAsync('r', Name, offset, buffer.Length, () => file.Read(offset, buffer.Span));

    protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
        => ChangeAsync('w', offset, buffer.ToArray());

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
        => ChangeAsync('z', offset, new byte[length]);

    /// <summary>What was discarded reads as zeros here, sooner or later.</summary>
    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => ChangeAsync('d', offset, new byte[Math.Min(length, file.Length - offset)]);

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => ChangeAsync('l', length, [], length);

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        List<CrashFile.Change> flushed = disk.IgnoresFlush(Name) ? [] : file.BeginFlush();
        return disk.RequestAsync('f', Name, 0, 0, () => file.CompleteFlush(flushed));
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
        => new(new BlockStatus(BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, length, offset, this));

    private ValueTask ChangeAsync(char kind, long offset, byte[] data, long? newLength = null)
    {
        CrashFile.Change change = file.Begin(offset, data, newLength);
        return disk.RequestAsync(kind, Name, offset, data.Length, () => file.Complete(change), () => file.Fail(change, disk.Random));
    }
}
