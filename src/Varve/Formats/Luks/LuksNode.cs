using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Varve.Crypto;
using Varve.Crypto.Luks;
using Varve.Graph;
using Varve.IO;
using Varve.Options;

namespace Varve.Formats.Luks;

/// <summary>An opened volume: what lies behind the header, decrypted.</summary>
internal sealed class LuksNode(NodeOpening opening) : BlockNode(opening)
{
    private BlockNode _file = null!;
    private LuksVolume _volume = null!;
    private SectorCipher? _cipher;
    private long _payloadOffset;

    /// <summary>The header and its key slots.</summary>
    internal LuksVolume Volume => _volume;

    /// <summary>The secret the volume was opened with; null where only its metadata was read.</summary>
    internal string? KeySecret { get; private set; }

    /// <summary>Whole sectors; what the file lacks of the last one reads as noise.</summary>
    public override long Length => Math.Max(0, Align.Up(_file.Length - _payloadOffset, SectorCipher.SectorSize));

    public override int RequestAlignment => SectorCipher.SectorSize;

    public override bool IsEncrypted => true;

    public override bool ReadsZeroWhenNew => false;

    protected override WriteFlags SupportedWriteFlags => WriteFlags.Unchanged | WriteFlags.Fua;

    public override void OnChildrenChanged() => _file = FindChild("file")?.Node!;

    /// <summary>Opens the children, reads the header and finds the key.</summary>
    internal async ValueTask OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        await opening.OpenRequiredChildAsync(this, "file", ChildRole.Image, cancellationToken).ConfigureAwait(false);
        BlockChild? header = await opening.OpenChildAsync(this, "header", ChildRole.Metadata, cancellationToken).ConfigureAwait(false);
        _volume = await LuksVolume.OpenAsync(header?.Node ?? _file, 0, cancellationToken).ConfigureAwait(false);
        if (header is null && _volume.Header.IsDetached)
        {
            throw new BlockException(BlockErrorKind.Invalid, "LUKS payload is overlapping with the header") { NodeName = NodeName };
        }

        _payloadOffset = header is null ? _volume.Header.PayloadOffset : 0;
        string? secret = opening.TakeString("key-secret");
        if (!opening.Context.NoIO) await UnlockAsync(secret, cancellationToken).ConfigureAwait(false);
        TrackBecauseOfAlignment();
    }

    public override JsonObject GetSpecificInfo()
    {
        JsonObject data = LuksInfo.Of(_volume.Header);
        if (_volume.Header.IsDetached) data["detached-header"] = true;
        return new JsonObject { ["type"] = "luks", ["data"] = data };
    }

    /// <summary>Adds, replaces and erases key slots.</summary>
    public override async ValueTask AmendAsync(AmendRequest request, CancellationToken cancellationToken)
    {
        if (IsReadOnly) BlockThrow.ReadOnly(this);
        JsonObject options = OptionChecker.Check(LuksAmend.Members, request.Options, OptionStyle.Keyval);
        await LuksAmend.RunAsync(_volume, options, Graph.Objects, KeySecret, request.IsForced, cancellationToken).ConfigureAwait(false);
        request.Progress?.Invoke(1, 1);
    }

    public override ValueTask CloseAsync()
    {
        _cipher?.Dispose();
        return default;
    }

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
    {
        SectorCipher cipher = Cipher;
        ValueTask read = _file.ReadAsync(offset + _payloadOffset, buffer, cancellationToken);
        if (!read.IsCompletedSuccessfully) return DecryptAfterAsync(read, cipher, offset, buffer);
        read.GetAwaiter().GetResult();
        cipher.Decrypt(offset / SectorCipher.SectorSize, buffer.Span);
        return default;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    protected override async ValueTask WriteCoreAsync(
        long offset, ReadOnlyMemory<byte> buffer, WriteFlags flags, CancellationToken cancellationToken)
    {
        SectorCipher cipher = Cipher;
        using IOBuffer encrypted = IOBuffer.Rent(Math.Min(buffer.Length, IOBuffer.MaxTransfer));
        for (int done = 0; done < buffer.Length;)
        {
            int piece = Math.Min(buffer.Length - done, encrypted.Memory.Length);
            cipher.Encrypt((offset + done) / SectorCipher.SectorSize, buffer.Span.Slice(done, piece), encrypted.Span);
            await _file.WriteAsync(offset + done + _payloadOffset, encrypted.Memory[..piece], flags, cancellationToken).ConfigureAwait(false);
            done += piece;
        }
    }

    protected override ValueTask FlushCoreAsync(CancellationToken cancellationToken) => _file.FlushAsync(cancellationToken);

    /// <summary>New bytes read as noise, not as zeros: as for the reference, nobody has written them.</summary>
    protected override ValueTask ResizeCoreAsync(long length, PreallocationMode preallocation, CancellationToken cancellationToken)
        => length <= long.MaxValue - _payloadOffset
            ? _file.ResizeAsync(length + _payloadOffset, preallocation, cancellationToken)
            : throw new BlockException(BlockErrorKind.TooLarge, "The requested file size is too large") { NodeName = NodeName };

    private SectorCipher Cipher => _cipher
        ?? throw new BlockException(BlockErrorKind.Invalid, "Parameter 'key-secret' is required for cipher") { NodeName = NodeName };

    private async ValueTask UnlockAsync(string? secret, CancellationToken cancellationToken)
    {
        if (secret is null) throw new BlockException(BlockErrorKind.Invalid, "Parameter 'key-secret' is required for cipher");
        using SecretBytes passphrase = Graph.Objects.FindSecret(secret).CopyPassphrase();
        using SecretBytes key = await _volume.UnlockAsync(passphrase, cancellationToken).ConfigureAwait(false);
        _cipher = _volume.CreateCipher(key);
        KeySecret = secret;
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private static async ValueTask DecryptAfterAsync(ValueTask read, SectorCipher cipher, long offset, Memory<byte> buffer)
    {
        await read.ConfigureAwait(false);
        cipher.Decrypt(offset / SectorCipher.SectorSize, buffer.Span);
    }
}
