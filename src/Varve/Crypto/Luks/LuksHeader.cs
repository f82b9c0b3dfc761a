using System.Buffers.Binary;
using System.Text;
using Varve.Formats;

namespace Varve.Crypto.Luks;

/// <summary>The partition header; big-endian. LUKS On-Disk Format 1.2.3, figure 1.</summary>
/// <remarks>
/// 0 magic[6]  6 u16 version  8 cipher[32]  40 mode[32]  72 hash[32]  104 u32 payload, in sectors  108 u32 key bytes
/// 112 digest of the key[20]  132 its salt[32]  164 u32 its iterations  168 uuid[40]  208 eight key slots
/// </remarks>
internal sealed record LuksHeader
{
    public const int Size = 592, SlotCount = 8, DigestSize = 20, SaltSize = 32;

    /// <summary>Key material begins on a multiple of this, and behind the first one.</summary>
    public const int MaterialAlignment = 4096;

    /// <summary>More than any writer ever measured; a header that asks for more would keep the processor busy for minutes.</summary>
    public const uint MaxIterations = 1 << 28;

    private const int SectorSize = SectorCipher.SectorSize, Version = 1, TextSize = 32, UuidSize = 40;

    private static class At
    {
        public const int Version = 6, Cipher = 8, Mode = 40, Hash = 72, Payload = 104, KeySize = 108, Digest = 112, Salt = 132,
            Iterations = 164, Uuid = 168, Slots = 208;
    }

    /// <summary>How the payload and the key material are encrypted.</summary>
    public required CipherSpec Cipher { get; init; }

    /// <summary>The hash of PBKDF2 and of the splitting of key material.</summary>
    public required DigestAlgorithm Hash { get; init; }

    /// <summary>Where the payload begins, from the start of the header. 0: in a file of its own.</summary>
    public required uint PayloadSector { get; init; }

    /// <summary>By which the key is recognised: <see cref="DigestSize"/> bytes.</summary>
    public required byte[] Digest { get; init; }

    public required byte[] Salt { get; init; }

    public required uint Iterations { get; init; }

    public required string Uuid { get; init; }

    public required IReadOnlyList<LuksKeySlot> Slots { get; init; }

    /// <summary>Bytes of the key.</summary>
    public int KeySize => Cipher.KeySize;

    /// <summary>Where the payload begins, in bytes from the start of the header.</summary>
    public long PayloadOffset => PayloadSector * (long)SectorSize;

    /// <summary>Whether the payload lies in a file of its own.</summary>
    public bool IsDetached => PayloadSector == 0;

    /// <summary>Bytes of a slot's key material, whole sectors.</summary>
    public int MaterialSize => MaterialSizeOf(KeySize);

    private static ReadOnlySpan<byte> Magic => [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE];      // "LUKS\xBA\xBE"

    /// <summary>Whether a file begins like a volume of the version we know.</summary>
    public static bool IsMagic(ReadOnlySpan<byte> head) => head.StartsWith(Magic) && head.Length >= 8 && head[6..8] is [0, Version];

    /// <summary>Bytes of the key material of a key of some length.</summary>
    public static int MaterialSizeOf(int keySize) => (int)Align.Up(keySize * LuksKeySlot.StandardStripes, SectorSize);

    /// <summary>Where slot <paramref name="index"/>'s key material begins in a header laid out by us; the payload for index 8.</summary>
    public static long MaterialOffsetOf(int index, int keySize)
        => MaterialAlignment + index * Align.Up((long)MaterialSizeOf(keySize), MaterialAlignment);

    /// <summary>Reads a header and checks every number in it. Nothing is believed.</summary>
    /// <param name="bytes">At least <see cref="Size"/>.</param>
    /// <param name="header">What was read.</param>
    /// <returns>Null, or what is wrong.</returns>
    public static FormatError? TryRead(ReadOnlySpan<byte> bytes, out LuksHeader? header)
    {
        header = null;
        if (bytes.Length < Size || !bytes.StartsWith(Magic)) return FormatError.Invalid("Volume is not in LUKS format");
        int version = BinaryPrimitives.ReadUInt16BigEndian(bytes[At.Version..]);
        if (version != Version) return FormatError.Unsupported($"LUKS version {version} is not supported");
        if (Text(bytes.Slice(At.Cipher, TextSize)) is not { } cipher) return FormatError.Invalid("LUKS header cipher name is not NUL terminated");
        if (Text(bytes.Slice(At.Mode, TextSize)) is not { } mode) return FormatError.Invalid("LUKS header cipher mode is not NUL terminated");
        if (Text(bytes.Slice(At.Hash, TextSize)) is not { } hash) return FormatError.Invalid("LUKS header hash spec is not NUL terminated");
        var slots = new LuksKeySlot[SlotCount];
        for (int i = 0; i < SlotCount; i++)
        {
            if (LuksKeySlot.TryRead(bytes[(At.Slots + i * LuksKeySlot.Size)..]) is not { } slot)
            {
                return FormatError.Invalid($"Keyslot {i} state (active/disable) is corrupted");
            }

            slots[i] = slot;
        }

        if (DigestAlgorithm.Find(hash) is not { } digest) return FormatError.Unsupported($"Hash algorithm '{hash}' is not supported");
        uint keySize = BinaryPrimitives.ReadUInt32BigEndian(bytes[At.KeySize..]);
        if (LuksCipherText.TryParse(cipher, mode, keySize, out CipherSpec? spec) is { } error) return error;
        var read = new LuksHeader
        {
            Cipher = spec!,
            Hash = digest,
            PayloadSector = BinaryPrimitives.ReadUInt32BigEndian(bytes[At.Payload..]),
            Digest = bytes.Slice(At.Digest, DigestSize).ToArray(),
            Salt = bytes.Slice(At.Salt, SaltSize).ToArray(),
            Iterations = BinaryPrimitives.ReadUInt32BigEndian(bytes[At.Iterations..]),
            Uuid = Text(bytes.Slice(At.Uuid, UuidSize)) ?? Encoding.Latin1.GetString(bytes.Slice(At.Uuid, UuidSize)),
            Slots = slots,
        };
        if (read.Check() is { } fault) return fault;
        header = read;
        return null;
    }

    /// <summary>Writes the header; <paramref name="bytes"/> holds <see cref="Size"/> bytes.</summary>
    public void WriteTo(Span<byte> bytes)
    {
        bytes[..Size].Clear();
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt16BigEndian(bytes[At.Version..], Version);
        Encoding.ASCII.GetBytes(Cipher.Algorithm.Family, bytes.Slice(At.Cipher, TextSize));
        Encoding.ASCII.GetBytes(LuksCipherText.ModeOf(Cipher), bytes.Slice(At.Mode, TextSize));
        Encoding.ASCII.GetBytes(Hash.Name, bytes.Slice(At.Hash, TextSize));
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.Payload..], PayloadSector);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.KeySize..], (uint)KeySize);
        Digest.CopyTo(bytes[At.Digest..]);
        Salt.CopyTo(bytes[At.Salt..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.Iterations..], Iterations);
        Encoding.Latin1.GetBytes(Uuid, bytes.Slice(At.Uuid, UuidSize));
        for (int i = 0; i < SlotCount; i++) Slots[i].WriteTo(bytes[(At.Slots + i * LuksKeySlot.Size)..]);
    }

    /// <summary>This header with one slot replaced.</summary>
    public LuksHeader With(int index, LuksKeySlot slot) => this with { Slots = [.. Slots.Select((s, i) => i == index ? slot : s)] };

    /// <summary>What the numbers demand of each other.</summary>
    private FormatError? Check()
    {
        if (Iterations == 0) return FormatError.Invalid("LUKS key iteration count is zero");
        if (Iterations > MaxIterations) return FormatError.TooLarge($"LUKS key iteration count {Iterations} is larger than {MaxIterations}");
        if (!IsDetached && PayloadOffset < MaterialOffsetOf(0, KeySize)) return FormatError.Invalid("LUKS payload is overlapping with the header");
        for (int i = 0; i < SlotCount; i++)
        {
            if (CheckSlot(i) is { } fault) return fault;
        }

        return null;
    }

    private FormatError? CheckSlot(int index)
    {
        LuksKeySlot slot = Slots[index];
        if (slot.Stripes != LuksKeySlot.StandardStripes)
        {
            return FormatError.Invalid($"Keyslot {index} is corrupted (stripes {slot.Stripes} != {LuksKeySlot.StandardStripes})");
        }

        if (slot.MaterialOffset < Align.Up(Size, SectorSize)) return FormatError.Invalid($"Keyslot {index} is overlapping with the LUKS header");
        if (slot.IsActive && slot.Iterations == 0) return FormatError.Invalid($"Keyslot {index} iteration count is zero");
        if (slot.IsActive && slot.Iterations > MaxIterations)
        {
            return FormatError.TooLarge($"Keyslot {index} iteration count {slot.Iterations} is larger than {MaxIterations}");
        }

        long end = slot.MaterialOffset + MaterialSize;
        if (!IsDetached && end > PayloadOffset) return FormatError.Invalid($"Keyslot {index} is overlapping with the encrypted payload");
        for (int other = index + 1; other < SlotCount; other++)
        {
            long start = Slots[other].MaterialOffset;
            if (start < end && slot.MaterialOffset < start + MaterialSize)
            {
                return FormatError.Invalid($"Keyslots {index} and {other} are overlapping in the header");
            }
        }

        return null;
    }

    private static string? Text(ReadOnlySpan<byte> bytes)
    {
        int end = bytes.IndexOf((byte)0);
        return end < 0 ? null : Encoding.Latin1.GetString(bytes[..end]);
    }
}
