using System.Buffers.Binary;
using Varve.Crypto;
using Varve.Crypto.Luks;

namespace Varve.Tests.Crypto.Luks;

public class LuksHeaderTests
{
    // The first 592 bytes of a volume that qemu-img 7.2 made: luks, aes-256, xts-plain64, sha256, one key.
    private const string Golden =
        "4c554b53babe000161657300000000000000000000000000000000000000000000000000000000007874732d706c61696e363400000000000000000000000000" +
        "0000000000000000736861323536000000000000000000000000000000000000000000000000000000000fc800000040218980435d7d7d556d47235a1356e0bc" +
        "6c0dc8ec9db006256a5e38480b08523ffe69ebcb6b3868fae8961f89dbcd5764642c120400001e7930373264616262332d316435302d346664632d613138342d" +
        "3935316263653038353762650000000000ac71f3000077b7ca6f0efd9b8960ccdafcb95e4387c7e15f2043a44cfb60d901cd51b9a28d367a0000000800000fa0" +
        "0000dead0000000000000000000000000000000000000000000000000000000000000000000000000000020000000fa00000dead000000000000000000000000" +
        "000000000000000000000000000000000000000000000000000003f800000fa00000dead00000000000000000000000000000000000000000000000000000000" +
        "0000000000000000000005f000000fa00000dead000000000000000000000000000000000000000000000000000000000000000000000000000007e800000fa0" +
        "0000dead000000000000000000000000000000000000000000000000000000000000000000000000000009e000000fa00000dead000000000000000000000000" +
        "00000000000000000000000000000000000000000000000000000bd800000fa00000dead00000000000000000000000000000000000000000000000000000000" +
        "000000000000000000000dd000000fa0";

    private static byte[] GoldenBytes => Convert.FromHexString(Golden);

    [Fact]
    public void A_header_of_the_reference_is_read_field_by_field()
    {
        Assert.Null(LuksHeader.TryRead(GoldenBytes, out LuksHeader? read));
        LuksHeader header = read!;
        Assert.Equal(("aes-256", CipherMode.Xts, IVAlgorithm.Plain64), (header.Cipher.Algorithm.Name, header.Cipher.Mode, header.Cipher.IV));
        Assert.Equal(("sha256", 2068480L, 64, 7801u), (header.Hash.Name, header.PayloadOffset, header.KeySize, header.Iterations));
        Assert.Equal("072dabb3-1d50-4fdc-a184-951bce0857be", header.Uuid);
        Assert.Equal((true, 30647u, 4096L, 4000u), (
            header.Slots[0].IsActive, header.Slots[0].Iterations, header.Slots[0].MaterialOffset, header.Slots[0].Stripes));
        Assert.Equal(
            [4096, 262144, 520192, 778240, 1036288, 1294336, 1552384, 1810432], header.Slots.Select(s => s.MaterialOffset));
        Assert.Equal(1, header.Slots.Count(s => s.IsActive));
    }

    [Fact]
    public void A_header_is_written_back_byte_for_byte()
    {
        Assert.Null(LuksHeader.TryRead(GoldenBytes, out LuksHeader? header));
        byte[] written = new byte[LuksHeader.Size];
        written.AsSpan().Fill(0xEE);
        header!.WriteTo(written);
        Assert.Equal(Golden, Convert.ToHexStringLower(written));
    }

    [Fact]
    public void Our_layout_is_the_references()
        => Assert.Equal(
            [4096, 262144, 520192, 778240, 1036288, 1294336, 1552384, 1810432, 2068480],
            Enumerable.Range(0, 9).Select(i => LuksHeader.MaterialOffsetOf(i, 64)));

    [Theory]
    [InlineData(0, 0x4C554B54u, "Volume is not in LUKS format")]
    [InlineData(4, 0xBABE0002u, "LUKS version 2 is not supported")]
    [InlineData(164, 0u, "LUKS key iteration count is zero")]
    [InlineData(164, uint.MaxValue, "LUKS key iteration count 4294967295 is larger than 268435456")]
    [InlineData(104, 1u, "LUKS payload is overlapping with the header")]
    [InlineData(104, 4000u, "Keyslot 7 is overlapping with the encrypted payload")]
    [InlineData(108, 63u, "Algorithm 'aes' with key size 63 bytes not supported")]
    [InlineData(108, 0x80000000u, "Algorithm 'aes' with key size 2147483648 bytes not supported")]
    [InlineData(108, 0u, "Algorithm 'aes' with key size 0 bytes not supported")]
    [InlineData(208, 1u, "Keyslot 0 state (active/disable) is corrupted")]
    [InlineData(212, 0u, "Keyslot 0 iteration count is zero")]
    [InlineData(212, uint.MaxValue, "Keyslot 0 iteration count 4294967295 is larger than 268435456")]
    [InlineData(248, 1u, "Keyslot 0 is overlapping with the LUKS header")]
    [InlineData(248, 512u, "Keyslots 0 and 1 are overlapping in the header")]
    [InlineData(248, uint.MaxValue, "Keyslot 0 is overlapping with the encrypted payload")]
    [InlineData(252, 4001u, "Keyslot 0 is corrupted (stripes 4001 != 4000)")]
    [InlineData(252, uint.MaxValue, "Keyslot 0 is corrupted (stripes 4294967295 != 4000)")]
    public void A_hostile_number_is_refused_by_name(int at, uint value, string message)
    {
        byte[] bytes = GoldenBytes;
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), value);
        Assert.Equal(message, LuksHeader.TryRead(bytes, out LuksHeader? header)?.Message);
        Assert.Null(header);
    }

    [Theory]
    [InlineData(8, "LUKS header cipher name is not NUL terminated")]
    [InlineData(40, "LUKS header cipher mode is not NUL terminated")]
    [InlineData(72, "LUKS header hash spec is not NUL terminated")]
    public void Text_without_an_end_is_refused(int at, string message)
    {
        byte[] bytes = GoldenBytes;
        bytes.AsSpan(at, 32).Fill((byte)'a');
        Assert.Equal(message, LuksHeader.TryRead(bytes, out _)?.Message);
    }

    [Theory]
    [InlineData(40, "xts", "Unexpected cipher mode string format 'xts'")]
    [InlineData(40, "gcm-plain64", "Cipher mode 'gcm' is not supported")]
    [InlineData(40, "xts-benbi", "IV generator 'benbi' is not supported")]
    [InlineData(40, "xts-essiv", "Missing IV generator hash specification")]
    [InlineData(40, "xts-essiv:crc32", "Hash algorithm 'crc32' is not supported")]
    [InlineData(72, "whirlpool", "Hash algorithm 'whirlpool' is not supported")]
    public void Words_nobody_knows_are_refused(int at, string text, string message)
    {
        byte[] bytes = GoldenBytes;
        bytes.AsSpan(at, 32).Clear();
        System.Text.Encoding.ASCII.GetBytes(text, bytes.AsSpan(at));
        Assert.Equal(message, LuksHeader.TryRead(bytes, out _)?.Message);
    }

    [Fact]
    public void Any_bytes_are_read_or_refused_but_never_crash()
    {
        var random = new Random(42);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = GoldenBytes;
            for (int j = random.Next(1, 6); j > 0; j--) bytes[random.Next(6, bytes.Length)] = (byte)random.Next(256);
            LuksHeader.TryRead(bytes, out _);
            LuksHeader.TryRead(bytes.AsSpan(0, random.Next(bytes.Length)), out _);
        }
    }

    [Theory]
    [InlineData("sha1", 32), InlineData("sha256", 64), InlineData("sha512", 24), InlineData("md5", 16)]
    public void Split_key_material_merges_to_the_key_and_needs_every_bit(string hash, int keySize)
    {
        DigestAlgorithm digest = DigestAlgorithm.Find(hash)!;
        byte[] key = new byte[keySize], material = new byte[keySize * 100], merged = new byte[keySize];
        new Random(1).NextBytes(key);
        AntiForensic.Split(digest, key, material, 100);
        AntiForensic.Merge(digest, material, merged, 100);
        Assert.Equal(key, merged);
        material[keySize * 50] ^= 1;
        AntiForensic.Merge(digest, material, merged, 100);
        Assert.NotEqual(key, merged);
    }
}
