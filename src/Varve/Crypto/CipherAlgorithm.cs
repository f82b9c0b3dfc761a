namespace Varve.Crypto;

/// <summary>A block cipher with its key length (QMP <c>QCryptoCipherAlgorithm</c>).</summary>
/// <param name="Name">As options spell it: <c>aes-256</c>.</param>
/// <param name="Family">As LUKS headers spell it: <c>aes</c>. The key length is told by the number of key bytes.</param>
/// <param name="KeySize">Bytes of one key; XTS takes two.</param>
/// <param name="BlockSize">Bytes of a block.</param>
internal sealed record CipherAlgorithm(string Name, string Family, int KeySize, int BlockSize)
{
    public static CipherAlgorithm Aes128 { get; } = new("aes-128", "aes", 16, 16);

    public static CipherAlgorithm Aes256 { get; } = new("aes-256", "aes", 32, 16);

    /// <summary>Every algorithm QMP knows, whether it can be used or not.</summary>
    public static IReadOnlyList<CipherAlgorithm> All { get; } =
    [
        Aes128, new("aes-192", "aes", 24, 16), Aes256,
        new("des", "des", 8, 8), new("3des", "3des", 24, 8),
        new("cast5-128", "cast5", 16, 8),
        new("serpent-128", "serpent", 16, 16), new("serpent-192", "serpent", 24, 16), new("serpent-256", "serpent", 32, 16),
        new("twofish-128", "twofish", 16, 16), new("twofish-192", "twofish", 24, 16), new("twofish-256", "twofish", 32, 16),
    ];

    /// <summary>The algorithm an option names.</summary>
    /// <exception cref="BlockException">There is none of that name.</exception>
    public static CipherAlgorithm Parse(string name)
        => All.FirstOrDefault(a => a.Name == name)
           ?? throw new BlockException(BlockErrorKind.Invalid, $"Parameter 'cipher-alg' does not accept value '{name}'");

    /// <summary>The algorithm of a LUKS header; null when no key of that length fits it.</summary>
    public static CipherAlgorithm? Find(string family, int keySize) => All.FirstOrDefault(a => a.Family == family && a.KeySize == keySize);
}
