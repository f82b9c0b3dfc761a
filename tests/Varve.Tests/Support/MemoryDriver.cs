using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Tests.Support;

/// <summary>A protocol driver whose nodes keep their bytes in memory: <c>{"driver": "memory", "size": 1048576}</c>, or
/// <c>memory:NAME</c> for bytes that outlive the node and are shared by name within this driver object.</summary>
internal sealed class MemoryDriver : BlockDriver
{
    public override string Name => "memory";

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = ["memory"];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Optional("size", OptionType.Int),
        OptionMember.Optional("filename", OptionType.Str),
    ];

    public override IReadOnlyList<string> StrongOptions { get; } = ["size", "filename"];

    /// <summary>What nodes opened by name hold, by that name (without the prefix).</summary>
    public Dictionary<string, MemoryBytes> Files { get; } = new(StringComparer.Ordinal);

    /// <summary>Nodes of this driver that are open now.</summary>
    public List<MemoryNode> OpenNodes { get; } = [];

    public override JsonObject ParseFilename(string filename)
        => new() { ["filename"] = filename.StartsWith("memory:", StringComparison.Ordinal) ? filename["memory:".Length..] : filename };

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        long? size = opening.TakeSize("size");
        MemoryBytes? bytes = null;
        if (opening.TakeString("filename") is { } filename && !Files.TryGetValue(filename, out bytes))
        {
            throw new BlockException(BlockErrorKind.NotFound, $"Could not open '{filename}': {Errno.Text(Errno.ENOENT)}");
        }

        var node = new MemoryNode(opening, this, bytes ?? new MemoryBytes(new byte[size ?? 1 << 20]));
        OpenNodes.Add(node);
        return new(node);
    }
}

/// <summary>Bytes that grow when written past their end.</summary>
internal sealed class MemoryBytes(byte[] bytes)
{
    private readonly Lock _lock = new();
    private byte[] _bytes = bytes;

    public long Length { get; private set; } = bytes.Length;

    /// <summary>A copy of everything.</summary>
    public byte[] ToArray()
    {
        lock (_lock) return _bytes[..(int)Length];
    }

    public void Read(long offset, Span<byte> buffer)
    {
        lock (_lock) _bytes.AsSpan((int)offset, buffer.Length).CopyTo(buffer);
    }

    public void Write(long offset, ReadOnlySpan<byte> buffer)
    {
        lock (_lock)
        {
            if (offset + buffer.Length > Length) SetLength(offset + buffer.Length);
            buffer.CopyTo(_bytes.AsSpan((int)offset));
        }
    }

    public void SetLength(long length)
    {
        lock (_lock)
        {
            if (length > _bytes.Length) Array.Resize(ref _bytes, (int)Math.Max(length, Math.Min(2L * _bytes.Length, Array.MaxLength)));
            if (length < Length) _bytes.AsSpan((int)length, (int)(Length - length)).Clear();
            Length = length;
        }
    }
}

/// <summary>A node over <see cref="MemoryBytes"/>, with hooks for tests that hold requests back or fail them.</summary>
internal sealed class MemoryNode(NodeOpening opening, MemoryDriver driver, MemoryBytes bytes) : BlockNode(opening)
{
    public MemoryBytes Bytes { get; } = bytes;

    public override long Length => Bytes.Length;

    /// <summary>Called before each request with its kind (<c>read</c>, <c>write</c>, <c>flush</c>, <c>writeback</c>), offset and length; may wait or throw.</summary>
    public Func<string, long, long, ValueTask>? OnRequest { get; set; }

    /// <summary>Whether writes may come in pieces.</summary>
    public bool IsDivisible { get; set; }

    /// <summary>Called when permissions are prepared; may throw to refuse.</summary>
    public Action<BlockPermissions, bool>? OnPrepare { get; set; }

    /// <summary>Permission changes that were prepared, committed and aborted.</summary>
    public int Prepared { get; private set; }
    public int Committed { get; private set; }
    public int Aborted { get; private set; }
    public int Flushes { get; private set; }

    public override ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken)
    {
        OnPrepare?.Invoke(needed, readOnly);
        Prepared++;
        return default;
    }

    public override void CommitPermissions() => Committed++;

    public override void AbortPermissions() => Aborted++;

    public override ValueTask CloseAsync()
    {
        driver.OpenNodes.Remove(this);
        return default;
    }

    protected override bool TakesPiecesCore(int length) => IsDivisible;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (OnRequest is { } hook) return HookedAsync(hook("read", offset, buffer.Length), () => Bytes.Read(offset, buffer.Span));
        Bytes.Read(offset, buffer.Span);
        return default;
    }

    protected override ValueTask WriteCoreAsync(long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (OnRequest is { } hook) return HookedAsync(hook("write", offset, buffer.Length), () => Bytes.Write(offset, buffer.Span));
        Bytes.Write(offset, buffer.Span);
        return default;
    }

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        Flushes++;
        return OnRequest is { } hook ? hook("flush", 0, 0) : default;
    }

    internal override ValueTask BeginWritebackAsync() => OnRequest is { } hook ? hook("writeback", 0, 0) : default;

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
    {
        Bytes.SetLength(length);
        return default;
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
        => new(new BlockStatus(BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid, length, offset, this));

    private static async ValueTask HookedAsync(ValueTask before, Action then)
    {
        await before;
        then();
    }
}
