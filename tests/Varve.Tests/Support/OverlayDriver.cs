using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Tests.Support;

/// <summary>An image format in memory with clusters and a backing image, for tests of what stands on formats:
/// <c>{"driver": "overlay", "size": 1048576, "backing": "base"}</c>.</summary>
internal sealed class OverlayDriver : BlockDriver
{
    public override string Name => "overlay";

    public override bool IsFormat => true;

    public override bool SupportsBacking => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Optional("size", OptionType.Int),
        OptionMember.Optional("backing", OptionType.Any),
    ];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new OverlayNode(opening, opening.TakeSize("size") ?? 1 << 20);
        await opening.OpenChildAsync(node, "backing", ChildRole.Cow, cancellationToken);
        return node;
    }
}

/// <summary>Clusters in memory over a backing image, with a header that a test can make fail.</summary>
internal sealed class OverlayNode(NodeOpening opening, long size) : BlockNode(opening)
{
    private const int Cluster = 64 << 10;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, byte[]?> _clusters = [];   // null: reads as zeros

    public override long Length { get; } = size;

    public override int ClusterSize => Cluster;

    /// <summary>What the header names, and how often it was written.</summary>
    public (string? Name, string? Format, int Writes) Header { get; private set; }

    /// <summary>Called before the header is written; may throw to fail it.</summary>
    public Func<string?, ValueTask>? OnHeaderWrite { get; set; }

    /// <summary>Called before each read of data this node holds and each write, with offset and length.</summary>
    public Func<string, long, long, ValueTask>? OnRequest { get; set; }

    public int Flushes { get; private set; }

    /// <summary>Offsets of allocated clusters.</summary>
    public IReadOnlyList<long> Allocated
    {
        get { lock (_lock) return [.. _clusters.Keys.Select(i => i * Cluster).Order()]; }
    }

    /// <summary>Allocates clusters filled with <paramref name="pattern"/> and the cluster's number.</summary>
    public OverlayNode Fill(long offset, long length, byte pattern)
    {
        for (long i = offset / Cluster; i < (offset + length) / Cluster; i++)
        {
            byte[] data = new byte[Cluster];
            data.AsSpan().Fill((byte)(pattern + i));
            _clusters[i] = data;
        }

        return this;
    }

    public override async ValueTask ChangeBackingFileAsync(string? backingFile, string? backingFormat, CancellationToken cancellationToken)
    {
        if (OnHeaderWrite is { } hook) await hook(backingFile);
        if (backingFile?.Length > 1023) throw BlockException.FromErrno(Errno.EINVAL);
        Header = (backingFile, backingFormat, Header.Writes + 1);
    }

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
    {
        Flushes++;
        return default;
    }

    protected override async ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        if (OnRequest is { } hook) await hook("read", offset, buffer.Length);
        while (!buffer.IsEmpty)
        {
            int within = (int)(offset % Cluster), length = Math.Min(buffer.Length, Cluster - within);
            bool held;
            lock (_lock)
            {
                held = _clusters.TryGetValue(offset / Cluster, out byte[]? data);
                if (data is not null) data.AsSpan(within, length).CopyTo(buffer.Span);
                else buffer.Span[..length].Clear();
            }

            if (!held && BackingChild is { } backing) await backing.Node.ReadAsync(offset, buffer[..length], cancellationToken);
            buffer = buffer[length..];
            offset += length;
        }
    }

    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        if (OnRequest is { } hook) await hook("write", offset, buffer.Length);
        while (!buffer.IsEmpty)
        {
            int within = (int)(offset % Cluster), length = Math.Min(buffer.Length, Cluster - within);
            byte[] fresh = new byte[Cluster];
            bool held;
            lock (_lock) held = _clusters.TryGetValue(offset / Cluster, out byte[]? data) && data is not null;
            if (!held) await ReadCoreBelowAsync(offset - within, fresh, cancellationToken);
            lock (_lock)
            {
                if (!_clusters.TryGetValue(offset / Cluster, out byte[]? data) || data is null) _clusters[offset / Cluster] = data = fresh;
                buffer.Span[..length].CopyTo(data.AsSpan(within));
            }

            buffer = buffer[length..];
            offset += length;
        }
    }

    protected override async ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        if (OnRequest is { } hook) await hook("zero", offset, length);
        if (offset % Cluster != 0 || length % Cluster != 0) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
        lock (_lock)
        {
            for (long i = offset / Cluster; i < (offset + length) / Cluster; i++) _clusters[i] = null;
        }
    }

    protected override ValueTask<BlockStatus> GetStatusCoreAsync(long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            BlockStatusFlags flags = FlagsAt(offset);
            long end = Math.Min((offset / Cluster + 1) * Cluster, offset + length);
            while (end < offset + length && FlagsAt(end) == flags) end = Math.Min(end + Cluster, offset + length);
            return new(new BlockStatus(flags, end - offset));
        }

        BlockStatusFlags FlagsAt(long at) => !_clusters.TryGetValue(at / Cluster, out byte[]? data) ? BlockStatusFlags.None
            : BlockStatusFlags.Allocated | (data is null ? BlockStatusFlags.Zero : BlockStatusFlags.Data);
    }

    private async ValueTask ReadCoreBelowAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        lock (_lock)
        {
            if (_clusters.ContainsKey(offset / Cluster)) return;   // zeros
        }

        if (BackingChild is { } backing) await backing.Node.ReadAsync(offset, buffer, cancellationToken);
    }
}
