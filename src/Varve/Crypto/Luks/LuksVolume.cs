using System.Security.Cryptography;
using Varve.Formats;
using Varve.Graph;
using Varve.IO;

namespace Varve.Crypto.Luks;

// Key slots: what holds on disk at every instant
//   1. A slot that is marked active holds the key: material first and durable, then the mark.
//   2. A slot that is being erased is marked inactive first, and durably: whoever counts active slots, to refuse erasing the last key,
//      never counts one whose material is gone. Then the material is overwritten.
//   3. Replacing the only key goes through a free slot: at every instant one slot opens the volume.

/// <summary>A LUKS header and its key material, somewhere in a node.</summary>
/// <param name="node">Holds them.</param>
/// <param name="start">Where they begin, in bytes.</param>
/// <param name="header">As it is on disk.</param>
/// <param name="clock">Times key derivation.</param>
internal sealed class LuksVolume(BlockNode node, long start, LuksHeader header, TimeProvider clock)
{
    public LuksHeader Header { get; private set; } = header;

    /// <summary>Held while slots change.</summary>
    public AsyncLock AmendLock { get; } = new();

    /// <summary>Reads and checks a header; <paramref name="size"/> bytes belong to it, and no key material lies outside of them.</summary>
    public static async ValueTask<LuksVolume> OpenAsync(
        BlockNode node, long start, CancellationToken cancellationToken, long size = long.MaxValue)
    {
        byte[] bytes = new byte[LuksHeader.Size];
        await node.ReadAsync(start, bytes, cancellationToken).ConfigureAwait(false);
        LuksHeader.TryRead(bytes, out LuksHeader? header)?.Throw(node.NodeName);
        if (header!.Slots.Any(s => s.MaterialOffset + header.MaterialSize > size))
        {
            throw new BlockException(BlockErrorKind.Invalid, "Request for data outside of extension header") { NodeName = node.NodeName };
        }

        return new LuksVolume(node, start, header, node.Graph.Time);
    }

    /// <summary>Writes the header of a new volume with its first key slot, and makes it durable. Nothing else is touched.</summary>
    /// <param name="node">Where.</param>
    /// <param name="start">Where in it.</param>
    /// <param name="options">How the payload will be encrypted.</param>
    /// <param name="isDetached">Whether the payload lies in a file of its own.</param>
    /// <param name="passphrase">Opens the first slot.</param>
    /// <param name="cancellationToken">Ends the creation.</param>
    public static async ValueTask<LuksVolume> CreateAsync(
        BlockNode node, long start, LuksCreateOptions options, bool isDetached, SecretBytes passphrase, CancellationToken cancellationToken)
    {
        using SecretBytes key = SecretBytes.Random(options.Cipher.KeySize);
        LuksHeader header = NewHeader(options, isDetached, key, node.Graph.Time);
        var volume = new LuksVolume(node, start, header, node.Graph.Time);
        await volume.AddKeyAsync(0, key, passphrase, options.IterationTime, cancellationToken).ConfigureAwait(false);
        return volume;
    }

    /// <summary>Finds the key with a passphrase.</summary>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Denied"/>: it opens no slot.</exception>
    public async ValueTask<SecretBytes> UnlockAsync(SecretBytes passphrase, CancellationToken cancellationToken)
    {
        for (int i = 0; i < LuksHeader.SlotCount; i++)
        {
            if (await TrySlotAsync(i, passphrase, cancellationToken).ConfigureAwait(false) is { } key) return key;
        }

        throw new BlockException(BlockErrorKind.Denied, "Invalid password, cannot unlock any keyslot");
    }

    /// <summary>What reads and writes the payload; the caller disposes it.</summary>
    public SectorCipher CreateCipher(SecretBytes key) => new(Header.Cipher, key.Span);

    /// <summary>The key, if the passphrase opens that slot; null otherwise.</summary>
    public async ValueTask<SecretBytes?> TrySlotAsync(int index, SecretBytes passphrase, CancellationToken cancellationToken)
    {
        LuksKeySlot slot = Header.Slots[index];
        if (!slot.IsActive) return null;
        using var material = new SecretBytes(Header.MaterialSize);
        await node.ReadAsync(start + slot.MaterialOffset, material.Memory, cancellationToken).ConfigureAwait(false);
        using (SectorCipher cipher = DeriveCipher(slot, passphrase)) cipher.Decrypt(0, material.Span);
        var key = new SecretBytes(Header.KeySize);
        AntiForensic.Merge(Header.Hash, material.Span, key.Span, LuksKeySlot.StandardStripes);
        if (IsKey(key)) return key;
        key.Dispose();
        return null;
    }

    /// <summary>Makes a slot hold the key, durably. The slot is inactive, or the caller can do without what it holds.</summary>
    public async ValueTask AddKeyAsync(int index, SecretBytes key, SecretBytes passphrase, TimeSpan time, CancellationToken cancellationToken)
    {
        if (Header.Slots[index].IsActive) await MarkInactiveAsync(index, cancellationToken).ConfigureAwait(false);
        LuksKeySlot slot = Header.Slots[index] with
        {
            IsActive = true,
            Iterations = IterationTiming.Measure(Header.Hash, Header.KeySize, time, divisor: 1, clock),
            Salt = RandomNumberGenerator.GetBytes(LuksKeySlot.SaltSize),
        };
        using var material = new SecretBytes(Header.MaterialSize);
        AntiForensic.Split(Header.Hash, key.Span, material.Span[..(Header.KeySize * LuksKeySlot.StandardStripes)], LuksKeySlot.StandardStripes);
        using (SectorCipher cipher = DeriveCipher(slot, passphrase)) cipher.Encrypt(0, material.Span, material.Span);
        await node.WriteAsync(start + slot.MaterialOffset, material.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await node.FlushAsync(cancellationToken).ConfigureAwait(false);
        await StoreAsync(Header.With(index, slot), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Puts another passphrase in an active slot. While it is the only one, a free slot opens the volume meanwhile.</summary>
    public async ValueTask ReplaceKeyAsync(int index, SecretBytes key, SecretBytes passphrase, TimeSpan time, CancellationToken cancellationToken)
    {
        int spare = ActiveCount == 1 ? FreeSlot : -1;
        if (spare >= 0) await AddKeyAsync(spare, key, passphrase, time, cancellationToken).ConfigureAwait(false);
        await AddKeyAsync(index, key, passphrase, time, cancellationToken).ConfigureAwait(false);
        if (spare >= 0) await EraseKeyAsync(spare, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Erases a slot, durably. Whether that may be, the caller has asked.</summary>
    public async ValueTask EraseKeyAsync(int index, CancellationToken cancellationToken)
    {
        await MarkInactiveAsync(index, cancellationToken).ConfigureAwait(false);
        using IOBuffer garbage = IOBuffer.Rent(Header.MaterialSize);
        RandomNumberGenerator.Fill(garbage.Span);
        await node.WriteAsync(start + Header.Slots[index].MaterialOffset, garbage.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await node.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    public int ActiveCount => Header.Slots.Count(s => s.IsActive);

    /// <summary>The first inactive slot, or -1.</summary>
    public int FreeSlot => Header.Slots.ToList().FindIndex(s => !s.IsActive);

    private ValueTask MarkInactiveAsync(int index, CancellationToken cancellationToken)
        => StoreAsync(Header.With(index, LuksKeySlot.New(Header.Slots[index].MaterialSector)), cancellationToken);

    private async ValueTask StoreAsync(LuksHeader header, CancellationToken cancellationToken)
    {
        byte[] bytes = new byte[Align.Up(LuksHeader.Size, SectorCipher.SectorSize)];
        await node.ReadAsync(start, bytes, cancellationToken).ConfigureAwait(false);   // what lies behind the header stays
        header.WriteTo(bytes);
        await node.WriteAsync(start, bytes, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await node.FlushAsync(cancellationToken).ConfigureAwait(false);
        Header = header;
    }

    private SectorCipher DeriveCipher(LuksKeySlot slot, SecretBytes passphrase)
    {
        using var derived = new SecretBytes(Header.KeySize);
        Header.Hash.DeriveKey(passphrase.Span, slot.Salt, (int)slot.Iterations, derived.Span);
        return new SectorCipher(Header.Cipher, derived.Span);
    }

    private bool IsKey(SecretBytes key)
    {
        Span<byte> digest = stackalloc byte[LuksHeader.DigestSize];
        Header.Hash.DeriveKey(key.Span, Header.Salt, (int)Header.Iterations, digest);
        return CryptographicOperations.FixedTimeEquals(digest, Header.Digest);
    }

    private static LuksHeader NewHeader(LuksCreateOptions options, bool isDetached, SecretBytes key, TimeProvider clock)
    {
        int keySize = options.Cipher.KeySize;
        uint SectorOf(int index) => (uint)(LuksHeader.MaterialOffsetOf(index, keySize) / SectorCipher.SectorSize);
        byte[] salt = RandomNumberGenerator.GetBytes(LuksHeader.SaltSize), digest = new byte[LuksHeader.DigestSize];
        uint iterations = IterationTiming.Measure(options.Hash, LuksHeader.DigestSize, options.IterationTime, divisor: 8, clock);
        options.Hash.DeriveKey(key.Span, salt, (int)iterations, digest);
        return new LuksHeader
        {
            Cipher = options.Cipher,
            Hash = options.Hash,
            PayloadSector = isDetached ? 0 : SectorOf(LuksHeader.SlotCount),
            Digest = digest,
            Salt = salt,
            Iterations = iterations,
            Uuid = Guid.NewGuid().ToString(),
            Slots = [.. Enumerable.Range(0, LuksHeader.SlotCount).Select(i => LuksKeySlot.New(SectorOf(i)))],
        };
    }
}
