using System.Buffers.Binary;

namespace Varve.Crypto.Luks;

/// <summary>One of the eight places for the volume's key, encrypted with a passphrase. LUKS On-Disk Format 1.2.3, figure 2.</summary>
/// <remarks>0 u32 active  4 u32 iterations  8 salt[32]  40 u32 key material, in sectors  44 u32 stripes</remarks>
/// <param name="IsActive">Whether it holds a key.</param>
/// <param name="Iterations">Of PBKDF2, over the passphrase.</param>
/// <param name="Salt">Of PBKDF2; 32 bytes.</param>
/// <param name="MaterialSector">Where its key material begins, from the start of the header.</param>
/// <param name="Stripes">How many times the key material is larger than the key.</param>
internal sealed record LuksKeySlot(bool IsActive, uint Iterations, byte[] Salt, uint MaterialSector, uint Stripes)
{
    public const int Size = 48, SaltSize = 32;

    /// <summary>The number of stripes every writer uses; the reference refuses others.</summary>
    public const int StandardStripes = 4000;

    private const uint Active = 0x00AC_71F3, Inactive = 0x0000_DEAD;

    private static class At { public const int State = 0, Iterations = 4, Salt = 8, Material = 40, Stripes = 44; }

    /// <summary>Where its key material begins, in bytes from the start of the header.</summary>
    public long MaterialOffset => MaterialSector * (long)SectorCipher.SectorSize;

    public static LuksKeySlot New(uint materialSector) => new(false, 0, new byte[SaltSize], materialSector, StandardStripes);

    /// <returns>Null when the state is neither active nor inactive.</returns>
    public static LuksKeySlot? TryRead(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32BigEndian(bytes) is Active or Inactive
        ? new(
            BinaryPrimitives.ReadUInt32BigEndian(bytes) == Active,
            BinaryPrimitives.ReadUInt32BigEndian(bytes[At.Iterations..]),
            bytes.Slice(At.Salt, SaltSize).ToArray(),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[At.Material..]),
            BinaryPrimitives.ReadUInt32BigEndian(bytes[At.Stripes..]))
        : null;

    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.State..], IsActive ? Active : Inactive);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.Iterations..], Iterations);
        Salt.CopyTo(bytes[At.Salt..]);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.Material..], MaterialSector);
        BinaryPrimitives.WriteUInt32BigEndian(bytes[At.Stripes..], Stripes);
    }
}
