using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <summary>An export of an NBD server.</summary>
internal sealed class NbdNode : BlockNode
{
    /// <summary>Bytes of one TRIM, WRITE_ZEROES or BLOCK_STATUS where lengths have 32 bits.</summary>
    private const long MaxCompactLength = 1 << 30;

    /// <summary>Bytes of one of them where lengths have 64 bits: a server needs time for large ones.</summary>
    private const long MaxExtendedLength = 1L << 40;

    private readonly NbdClientOptions _options;
    private readonly NbdClient _client;
    private readonly TransmissionFlags _flags;
    private readonly int _maxPayload;
    private readonly long _maxLength;
    private readonly bool _hasDepths;

    public NbdNode(NodeOpening opening, NbdClientOptions options, NbdClient client) : base(opening)
    {
        _options = options;
        _client = client;
        ExportDetails export = client.Export;
        _flags = export.Flags;
        Length = export.Size;

        // A server that says nothing about blocks takes sectors, as all servers do; unless its size shows that it takes bytes.
        RequestAlignment = (int)(export.BlockSizes?.Minimum ?? (Align.Is(export.Size, Align.SectorSize) ? (uint)Align.SectorSize : 1));
        _maxPayload = (int)Align.Down(Math.Min(export.BlockSizes?.Maximum ?? NbdLimits.MaxPayload, NbdLimits.MaxPayload), RequestAlignment);
        _maxLength = export.Form == HeaderForm.Extended ? MaxExtendedLength : MaxCompactLength;
        _hasDepths = options.StatusContext == NbdClientOptions.AllocationDepth;
        TrackBecauseOfAlignment();
    }

    public override long Length { get; }

    public override int RequestAlignment { get; }

    protected override WriteFlags SupportedWriteFlags
        => WriteFlags.Unchanged | (Has(TransmissionFlags.SendFua) ? WriteFlags.Fua : WriteFlags.None);

    protected override ZeroFlags SupportedZeroFlags
        => ZeroFlags.Unchanged | ZeroFlags.MayUnmap | ZeroFlags.NoFallback | (Has(TransmissionFlags.SendFua) ? ZeroFlags.Fua : ZeroFlags.None);

    public override string DirectoryName
        => throw new BlockException(BlockErrorKind.Unsupported, "Cannot generate a base directory for NBD nodes");

    // ---- Requests

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => buffer.Length <= _maxPayload
            ? RunAsync(CommandType.Read, CommandFlags.None, offset, buffer.Length, buffer)
            : ReadPiecesAsync(offset, buffer);

    protected override ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        CommandFlags command = (flags & WriteFlags.Fua) != 0 ? CommandFlags.Fua : CommandFlags.None;
        return buffer.Length <= _maxPayload
            ? RunAsync(CommandType.Write, command, offset, buffer.Length, data: buffer)
            : WritePiecesAsync(offset, buffer, command);
    }

    protected override ValueTask WriteZeroesCoreAsync(long offset, long length, ZeroFlags flags, CancellationToken cancellationToken)
    {
        bool mustBeFast = (flags & ZeroFlags.NoFallback) != 0;
        if (!Has(TransmissionFlags.SendWriteZeroes) || (mustBeFast && !Has(TransmissionFlags.SendFastZero)))
        {
            throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };
        }

        CommandFlags command = CommandFlags.None;
        if ((flags & ZeroFlags.Fua) != 0) command |= CommandFlags.Fua;
        if ((flags & ZeroFlags.MayUnmap) == 0) command |= CommandFlags.NoHole;
        if (mustBeFast) command |= CommandFlags.FastZero;
        return RunPiecesAsync(CommandType.WriteZeroes, command, offset, length);
    }

    protected override ValueTask DiscardCoreAsync(long offset, long length, CancellationToken cancellationToken)
        => Has(TransmissionFlags.SendTrim) ? RunPiecesAsync(CommandType.Trim, CommandFlags.None, offset, length) : default;

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken)
        => Has(TransmissionFlags.SendFlush) ? RunAsync(CommandType.Flush, CommandFlags.None, offset: 0, length: 0) : default;

    protected override async ValueTask<BlockStatus> GetStatusCoreAsync(
        long offset, long length, bool precise, CancellationToken cancellationToken)
    {
        const BlockStatusFlags plain = BlockStatusFlags.Data | BlockStatusFlags.Allocated | BlockStatusFlags.OffsetValid;
        if (_client.Export.StatusContextId is null) return new BlockStatus(plain, length, offset, this);

        ClientRequest request = _client.Rent();
        try
        {
            long start = Align.Down(offset, RequestAlignment);
            long asked = Math.Min(Align.Up(offset + length, RequestAlignment) - start, _maxLength);
            request.Set(CommandType.BlockStatus, CommandFlags.RequestOne, start, asked);
            await _client.SendAsync(request).ConfigureAwait(false);
            CheckAnswer(request);

            // An extent that does not end where a request may is known only as far as that; the block in which it ends counts as data.
            (ulong run, ulong state) = request.Extent!.Value;
            long known = Align.Down((long)Math.Min(run, (ulong)asked), RequestAlignment) - (offset - start);
            return known > 0
                ? new BlockStatus(Translate(state) | BlockStatusFlags.OffsetValid, Math.Min(known, length), offset, this)
                : new BlockStatus(plain, Math.Min(RequestAlignment - (offset - start), length), offset, this);
        }
        finally
        {
            _client.Return(request);
        }
    }

    /// <summary>What a state of <c>base:allocation</c> says; other contexts are read as if they were that one.</summary>
    private BlockStatusFlags Translate(ulong state)
    {
        if (_hasDepths) state = Math.Min(state, 2);   // 0 nowhere, 1 in the top image, 2 below
        BlockStatusFlags flags = BlockStatusFlags.None;
        if ((state & (uint)AllocationState.Hole) == 0) flags |= BlockStatusFlags.Data | BlockStatusFlags.Allocated;
        if ((state & (uint)AllocationState.Zero) != 0) flags |= BlockStatusFlags.Zero | BlockStatusFlags.Allocated;
        return flags;
    }

    /// <summary>A server's disk holds what it held before.</summary>
    public override bool ReadsZeroWhenNew => false;

    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => length == Length
            ? default
            : throw new BlockException(BlockErrorKind.Unsupported, "Cannot resize NBD nodes") { NodeName = NodeName };

    private bool Has(TransmissionFlags flag) => (_flags & flag) != 0;

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask RunAsync(
        CommandType command, CommandFlags flags, long offset, long length, Memory<byte> target = default, ReadOnlyMemory<byte> data = default)
    {
        ClientRequest request = _client.Rent();
        try
        {
            request.Set(command, flags, offset, length, target, data);
            await _client.SendAsync(request).ConfigureAwait(false);
            CheckAnswer(request);
        }
        finally
        {
            _client.Return(request);
        }
    }

    private async ValueTask RunPiecesAsync(CommandType command, CommandFlags flags, long offset, long length)
    {
        for (long done = 0; done < length; done += _maxLength)
        {
            await RunAsync(command, flags, offset + done, Math.Min(length - done, _maxLength)).ConfigureAwait(false);
        }
    }

    private async ValueTask ReadPiecesAsync(long offset, Memory<byte> buffer)
    {
        for (int done = 0; done < buffer.Length; done += _maxPayload)
        {
            Memory<byte> piece = buffer[done..Math.Min(done + _maxPayload, buffer.Length)];
            await RunAsync(CommandType.Read, CommandFlags.None, offset + done, piece.Length, piece).ConfigureAwait(false);
        }
    }

    private async ValueTask WritePiecesAsync(long offset, ReadOnlyMemory<byte> buffer, CommandFlags flags)
    {
        for (int done = 0; done < buffer.Length; done += _maxPayload)
        {
            ReadOnlyMemory<byte> piece = buffer[done..Math.Min(done + _maxPayload, buffer.Length)];
            await RunAsync(CommandType.Write, flags, offset + done, piece.Length, data: piece).ConfigureAwait(false);
        }
    }

    private void CheckAnswer(ClientRequest request)
    {
        if (request.Error == NbdError.None) return;
        int errno = NbdErrors.ErrnoOf(request.Error);
        throw new BlockException(Errno.KindOf(errno), Errno.Text(errno)) { Errno = errno, NodeName = NodeName, Offset = (long)request.Header.Offset };
    }

    // ---- The graph

    public override ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken)
        => !readOnly && Has(TransmissionFlags.ReadOnly) ? throw NbdDriver.ReadOnlyExport() : default;

    public override void OnDrainBegin() => _client.BeginDrain();

    public override void OnDrainEnd() => _client.EndDrain();

    public override ValueTask CloseAsync() => _client.DisposeAsync();

    protected internal override string? GetExactFilename(bool hasStrongOptions)
    {
        string? export = Options.OptionChecker.TextOf(GivenOptions["export"]);
        string name = export is null ? "" : "/" + export;
        return _options.Server switch
        {
            UnixTarget { IsAbstract: false } unix => $"nbd+unix://{name}?socket={unix.Path}",
            InetTarget { IPv4: null, IPv6: null, LastPort: null } inet => string.Create(CultureInfo.InvariantCulture, $"nbd://{inet.Host}:{inet.Port}{name}"),
            _ => null,
        };
    }
}
