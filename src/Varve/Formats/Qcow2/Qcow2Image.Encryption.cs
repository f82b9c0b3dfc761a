using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Varve.Crypto;
using Varve.Crypto.Luks;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;
namespace Varve.Formats.Qcow2;

// What is encrypted: the content of standard clusters, sector by sector. Tables, and compressed clusters of old images, are not.
// With LUKS a sector's number is where it lies in the host file: data that moves is encrypted anew, and two guests' copies of one
// cluster never share a vector. With the legacy format it is the guest's.

/// <content>Encryption. qcow2 specification, "Full disk encryption header pointer".</content>
internal sealed partial class Qcow2Image
{
    private const uint NotEncrypted = 0, AesMethod = 1, LuksMethod = 2;
    private const int PointerSize = 16;

    private SectorCipher? _cipher;
    private LuksVolume? _volume;
    private (long Offset, long Length)? _encryptionHeader;

    /// <summary>The key slots; null without LUKS encryption.</summary>
    internal LuksVolume? Volume => _volume;

    /// <summary>The secret the image was opened with; null where only its metadata was read.</summary>
    internal string? KeySecret { get; private set; }

    /// <summary>What is encrypted is read and written in sectors.</summary>
    public override int RequestAlignment => IsEncrypted ? SectorCipher.SectorSize : 1;

    /// <summary>Preallocated clusters hold nothing that could be decrypted.</summary>
    public override bool ReadsZeroWhenNew => !IsEncrypted || _l2.L1.Count == 0 || !new L1Entry(_l2.L1[0]).IsAllocated;

    private void ReadEncryptionPointer(HeaderCluster cluster)
    {
        HeaderExtension? found = cluster.Find(HeaderExtension.CryptoHeader);
        if (_header.CryptMethod != LuksMethod)
        {
            if (found is not null) throw Invalid("CRYPTO header extension only expected with LUKS encryption method");
            return;
        }

        if (found is not { } pointer) throw Invalid($"Missing CRYPTO header for crypt method {_header.CryptMethod}");
        if (pointer.Data.Length != PointerSize) throw Invalid($"CRYPTO header extension size {pointer.Data.Length}, but expected size {PointerSize}");
        ulong offset = BinaryPrimitives.ReadUInt64BigEndian(pointer.Data.Span), length = BinaryPrimitives.ReadUInt64BigEndian(pointer.Data.Span[8..]);
        if (offset % (uint)ClusterSize != 0) throw Invalid($"Encryption header offset '{offset}' is not a multiple of cluster size '{ClusterSize}'");
        if (offset > long.MaxValue / 2 || length > uint.MaxValue) throw Invalid($"Encryption header of {length} bytes at offset {offset} is out of range");
        _encryptionHeader = ((long)offset, (long)length);
    }

    /// <summary>Takes <c>encrypt.*</c>, reads the key slots, and finds the key unless only metadata is wanted.</summary>
    private async ValueTask OpenEncryptionAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        (string? format, string? secret) = TakeEncryption(opening);
        string? found = _header.CryptMethod switch { AesMethod => "aes", LuksMethod => "luks", _ => null };
        if (found is null)
        {
            if (format is not null) throw Invalid($"No encryption in image header, but options specified format '{format}'");
            return;
        }

        if (format is not null && format != found) throw Invalid($"Header reported '{found}' encryption format but options specify '{format}'");
        if (!Align.Is(_header.VirtualSize, SectorCipher.SectorSize)) throw Invalid($"Encrypted image of {_header.VirtualSize} bytes is not made of sectors");
        if (_encryptionHeader is { } header)
        {
            _volume = await LuksVolume.OpenAsync(_file.Node, header.Offset, cancellationToken, header.Length).ConfigureAwait(false);
        }

        TrackBecauseOfAlignment();
        if (!opening.Context.NoIO) await UnlockAsync(secret, cancellationToken).ConfigureAwait(false);
    }

    private static (string? Format, string? KeySecret) TakeEncryption(NodeOpening opening)
    {
        if (opening.Options["encrypt"] is not JsonObject options) return default;
        (string? Format, string? KeySecret) taken = ((string?)options["format"], (string?)options["key-secret"]);
        string? other = options.Select(o => o.Key).FirstOrDefault(name => name is not ("format" or "key-secret"));
        if (other is not null) throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{other}' is unexpected");
        opening.Options.Remove("encrypt");
        return taken;
    }

    private async ValueTask UnlockAsync(string? secret, CancellationToken cancellationToken)
    {
        if (secret is null) throw KeyRequired();
        using SecretBytes passphrase = Graph.Objects.FindSecret(secret).CopyPassphrase();
        if (_volume is null)
        {
            _cipher = LegacyAes.CreateCipher(passphrase);
        }
        else
        {
            using SecretBytes key = await _volume.UnlockAsync(passphrase, cancellationToken).ConfigureAwait(false);
            _cipher = _volume.CreateCipher(key);
        }

        KeySecret = secret;
    }

    private JsonObject? DescribeEncryption() => _header.CryptMethod switch
    {
        AesMethod => new JsonObject { ["format"] = "aes" },
        LuksMethod when _volume is not null => LuksInfo.Of(_volume.Header, "luks"),
        _ => null,
    };

    private long SectorOf(long host, long guest) => (_header.CryptMethod == LuksMethod ? host : guest) / SectorCipher.SectorSize;

    /// <summary>Decrypts what was read; nothing where the image is not encrypted.</summary>
    private void Decrypt(long host, long guest, Span<byte> data)
    {
        if (IsEncrypted) (_cipher ?? throw KeyRequired()).Decrypt(SectorOf(host, guest), data);
    }

    /// <summary>Writes guest data where it belongs, encrypted where the image is.</summary>
    private ValueTask WriteDataAsync(long host, long guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
        => IsEncrypted
            ? WriteEncryptedAsync(_cipher ?? throw KeyRequired(), host, guest, data, cancellationToken)
            : _data.Node.WriteAsync(host, data, WriteFlags.None, cancellationToken);

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask WriteEncryptedAsync(
        SectorCipher cipher, long host, long guest, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        using IOBuffer encrypted = IOBuffer.Rent(Math.Min(data.Length, IOBuffer.MaxTransfer));
        for (int done = 0; done < data.Length;)
        {
            int piece = Math.Min(data.Length - done, encrypted.Memory.Length);
            cipher.Encrypt(SectorOf(host + done, guest + done), data.Span.Slice(done, piece), encrypted.Span[..piece]);
            await _data.Node.WriteAsync(host + done, encrypted.Memory[..piece], WriteFlags.None, cancellationToken).ConfigureAwait(false);
            done += piece;
        }
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask DecryptAndExitAsync(ValueTask read, long host, long guest, Memory<byte> buffer, int ticket)
    {
        try
        {
            await read.ConfigureAwait(false);
            Decrypt(host, guest, buffer.Span);
        }
        finally
        {
            Reclaim.Exit(ticket);
        }
    }

    private BlockException KeyRequired()
        => new(BlockErrorKind.Invalid, "Parameter 'encrypt.key-secret' is required for cipher") { NodeName = NodeName };

    private BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message) { NodeName = NodeName };
}
