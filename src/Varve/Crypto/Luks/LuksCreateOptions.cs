using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Crypto.Luks;

/// <summary>What a new volume is to be: <c>QCryptoBlockCreateOptionsLUKS</c>, validated.</summary>
internal sealed record LuksCreateOptions
{
    private static readonly EnumType s_cipher = new("QCryptoCipherAlgorithm", [.. CipherAlgorithm.All.Select(a => a.Name)]);
    private static readonly EnumType s_mode = new("QCryptoCipherMode", ["ecb", "cbc", "xts", "ctr"]);
    private static readonly EnumType s_iv = new("QCryptoIVGenAlgorithm", ["plain", "plain64", "essiv"]);
    private static readonly EnumType s_hash = new(
        "QCryptoHashAlgorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512", "ripemd160"]);

    /// <summary>The members, as <c>blockdev-create</c> has them.</summary>
    public static IReadOnlyList<OptionMember> Members { get; } =
    [
        OptionMember.Optional("key-secret", OptionType.Str), OptionMember.Optional("cipher-alg", s_cipher),
        OptionMember.Optional("cipher-mode", s_mode), OptionMember.Optional("ivgen-alg", s_iv),
        OptionMember.Optional("ivgen-hash-alg", s_hash), OptionMember.Optional("hash-alg", s_hash),
        OptionMember.Optional("iter-time", OptionType.Int),
    ];

    public required CipherSpec Cipher { get; init; }

    public required DigestAlgorithm Hash { get; init; }

    /// <summary>What deriving the key from the passphrase should take.</summary>
    public required TimeSpan IterationTime { get; init; }

    /// <summary>Bytes of header and key material: where the payload begins, where the two share a file.</summary>
    public long HeaderSize => LuksHeader.MaterialOffsetOf(LuksHeader.SlotCount, Cipher.KeySize);

    /// <exception cref="BlockException">A combination that cannot be, in the reference's words.</exception>
    public static LuksCreateOptions FromJson(JsonObject options)
    {
        var iv = CipherText.FindIV((string?)options["ivgen-alg"] ?? "plain64")!.Value;
        string? ivHash = (string?)options["ivgen-hash-alg"] ?? (iv == IVAlgorithm.Essiv ? "sha256" : null);
        var cipher = new CipherSpec(
            CipherAlgorithm.Parse((string?)options["cipher-alg"] ?? "aes-256"),
            CipherText.FindMode((string?)options["cipher-mode"] ?? "xts")!.Value,
            iv,
            iv == IVAlgorithm.Essiv ? Digest(ivHash!) : null);
        cipher.Validate();
        return new LuksCreateOptions
        {
            Cipher = cipher,
            Hash = Digest((string?)options["hash-alg"] ?? "sha256"),
            IterationTime = ReadIterationTime(options),
        };
    }

    /// <summary><c>iter-time</c>, in milliseconds.</summary>
    public static TimeSpan ReadIterationTime(JsonObject options)
    {
        long time = (long?)options["iter-time"] ?? 2000;
        return time is >= 0 and <= 1 << 30
            ? TimeSpan.FromMilliseconds(time)
            : throw new BlockException(BlockErrorKind.Invalid, $"iter-time {time} is out of range");
    }

    private static DigestAlgorithm Digest(string name) => DigestAlgorithm.Find(name)
        ?? throw new BlockException(BlockErrorKind.Unsupported, $"PBKDF does not support hash algorithm {name}");
}
