using System.Security.Cryptography;
using Varve.Crypto;
using CipherMode = Varve.Crypto.CipherMode;

namespace Varve.Tests.Crypto;

public class SectorCipherTests
{
    // IEEE 1619-2007, annex B, vector 4: AES-128, data unit 0 of 512 bytes 00, 01, ... FF, twice.
    private const string XtsVector4 =
        "27a7479befa1d476489f308cd4cfa6e2a96e4bbe3208ff25287dd3819616e89cc78cf7f5e543445f8333d8fa7f56000005279fa5d8b5e4ad40e736ddb4d35412" +
        "328063fd2aab53e5ea1e0a9f332500a5df9487d07a5c92cc512c8866c7e860ce93fdf166a24912b422976146ae20ce846bb7dc9ba94a767aaef20c0d61ad0265" +
        "5ea92dc4c4e41a8952c651d33174be51a10c421110e6d81588ede82103a252d8a750e8768defffed9122810aaeb99f9172af82b604dc4b8e51bcb08235a6f434" +
        "1332e4ca60482a4ba1a03b3e65008fc5da76b70bf1690db4eae29c5f1badd03c5ccf2a55d705ddcd86d449511ceb7ec30bf12b1fa35b913f9f747a8afd1b130e" +
        "94bff94effd01a91735ca1726acd0b197c4e5b03393697e126826fb6bbde8ecc1e08298516e2c9ed03ff3c1b7860f6de76d4cecd94c8119855ef5297ca67e9f3" +
        "e7ff72b1e99785ca0a7e7720c5b36dc6d72cac9574c8cbbc2f801e23e56fd344b07f22154beba0f08ce8891e643ed995c94d9a69c9f1b5f499027a78572aeebd" +
        "74d20cc39881c213ee770b1010e4bea718846977ae119f7a023ab58cca0ad752afe656bb3c17256a9f6e9bf19fdd5a38fc82bbe872c5539edb609ef4f79c203e" +
        "bb140f2e583cb2ad15b4aa5b655016a8449277dbd477ef2c8d6c017db738b18deb4a427d1923ce3ff262735779a418f20a282df920147beabe421ee5319d0568";

    private static readonly byte[] s_xtsKey = Convert.FromHexString("2718281828459045235360287471352631415926535897932384626433832795");

    [Fact]
    public void Xts_gives_the_standards_vector()
    {
        byte[] text = [.. Enumerable.Range(0, 512).Select(i => (byte)i)];
        using var cipher = new SectorCipher(Spec(CipherMode.Xts, "aes-128"), s_xtsKey);

        byte[] encrypted = new byte[512];
        cipher.Encrypt(0, text, encrypted);
        Assert.Equal(XtsVector4, Convert.ToHexStringLower(encrypted));
        cipher.Decrypt(0, encrypted);
        Assert.Equal(text, encrypted);
    }

    [Theory]
    [InlineData("aes-128", "plain"), InlineData("aes-192", "plain64"), InlineData("aes-256", "plain64"), InlineData("aes-128", "essiv")]
    public void Cbc_is_the_platforms_cbc_with_a_vector_a_sector(string algorithm, string vectors)
    {
        const long First = 0x1_0000_0003;
        CipherSpec spec = Spec(CipherMode.Cbc, algorithm, vectors);
        byte[] key = Bytes(spec.KeySize, 1), text = Bytes(100 * 512, 2), encrypted = new byte[text.Length], expected = new byte[text.Length];
        using var aes = Aes.Create();
        aes.Key = key;
        for (int i = 0; i < 100; i++)
        {
            byte[] iv = new byte[16];
            BitConverter.TryWriteBytes(iv, vectors == "plain" ? (uint)(First + i) : First + i);
            if (vectors == "essiv")
            {
                using var outer = Aes.Create();
                outer.Key = SHA256.HashData(key);
                iv = outer.EncryptEcb(iv, PaddingMode.None);
            }

            aes.EncryptCbc(text.AsSpan(i * 512, 512), iv, expected.AsSpan(i * 512), PaddingMode.None);
        }

        using var cipher = new SectorCipher(spec, key);
        cipher.Encrypt(First, text, encrypted);
        Assert.Equal(expected, encrypted);
        cipher.Decrypt(First, encrypted);
        Assert.Equal(text, encrypted);
    }

    [Fact]
    public void Ctr_counts_the_vector_up_big_endian()
    {
        byte[] key = Bytes(32, 3), text = Bytes(512, 4), encrypted = new byte[512], stream = new byte[512];
        stream[0] = 9;
        for (int i = 1; i < 32; i++)
        {
            stream[i * 16] = 9;
            stream[i * 16 + 15] = (byte)i;
        }

        using var aes = Aes.Create();
        aes.Key = key;
        stream = aes.EncryptEcb(stream, PaddingMode.None);

        using var cipher = new SectorCipher(Spec(CipherMode.Ctr, "aes-256"), key);
        cipher.Encrypt(9, text, encrypted);
        Assert.Equal(text.Zip(stream, (a, b) => (byte)(a ^ b)), encrypted);
    }

    [Theory]
    [InlineData("ecb"), InlineData("cbc"), InlineData("xts"), InlineData("ctr")]
    public void Every_mode_treats_a_long_run_as_its_sectors_one_by_one(string mode)
    {
        CipherSpec spec = Spec(CipherText.FindMode(mode)!.Value, "aes-256");
        byte[] text = Bytes(200 * 512, 5), whole = (byte[])text.Clone(), single = new byte[text.Length];
        using var cipher = new SectorCipher(spec, Bytes(spec.KeySize, 6));

        cipher.Encrypt(77, whole, whole);   // in place
        for (int i = 0; i < 200; i++) cipher.Encrypt(77 + i, text.AsSpan(i * 512, 512), single.AsSpan(i * 512, 512));
        Assert.Equal(single, whole);
        cipher.Decrypt(77, whole);
        Assert.Equal(text, whole);
    }

    [Fact]
    public async Task Several_threads_use_one_cipher_at_once()
    {
        CipherSpec spec = Spec(CipherMode.Xts, "aes-256");
        using var cipher = new SectorCipher(spec, Bytes(spec.KeySize, 7));
        await Task.WhenAll(Enumerable.Range(0, 4).Select(thread => Task.Run(() =>
        {
            byte[] text = Bytes(16 * 512, thread), data = new byte[text.Length];
            for (int i = 0; i < 50; i++)
            {
                cipher.Encrypt(i, text, data);
                cipher.Decrypt(i, data);
                Assert.Equal(text, data);
            }
        })));
    }

    [Fact]
    public void A_request_allocates_nothing()
    {
        CipherSpec spec = Spec(CipherMode.Xts, "aes-256");
        byte[] data = new byte[64 << 10];
        using var cipher = new SectorCipher(spec, Bytes(spec.KeySize, 7));
        cipher.Encrypt(0, data, data);
        cipher.Decrypt(0, data);
        long before = GC.GetAllocatedBytesForCurrentThread();
        cipher.Encrypt(0, data, data);
        cipher.Decrypt(0, data);
        Assert.Equal(before, GC.GetAllocatedBytesForCurrentThread());
    }

    [Theory]
    [InlineData("aes-256", "cbc", "sha1", "No AES cipher with key size 20 available")]
    [InlineData("des", "cbc", null, "Algorithm 'des' not supported")]
    [InlineData("3des", "cbc", null, "Algorithm '3des' not supported")]
    public void Combinations_that_cannot_be_are_refused_by_name(string algorithm, string mode, string? essivHash, string message)
    {
        var spec = new CipherSpec(
            CipherAlgorithm.Parse(algorithm), CipherText.FindMode(mode)!.Value, essivHash is null ? IVAlgorithm.Plain64 : IVAlgorithm.Essiv,
            essivHash is null ? null : DigestAlgorithm.Find(essivHash));
        Assert.Equal(message, Assert.Throws<BlockException>(spec.Validate).Message);
    }

    private static CipherSpec Spec(CipherMode mode, string algorithm, string vectors = "plain64")
    {
        IVAlgorithm iv = CipherText.FindIV(vectors)!.Value;
        return new CipherSpec(CipherAlgorithm.Parse(algorithm), mode, iv, iv == IVAlgorithm.Essiv ? DigestAlgorithm.Sha256 : null);
    }

    private static byte[] Bytes(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
