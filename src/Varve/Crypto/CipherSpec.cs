namespace Varve.Crypto;

/// <summary>How sectors are encrypted: what a LUKS header records beside the keys.</summary>
/// <param name="Algorithm">The cipher.</param>
/// <param name="Mode">How blocks are chained.</param>
/// <param name="IV">How vectors are made.</param>
/// <param name="IVHash">The hash of <see cref="IVAlgorithm.Essiv"/>; null for the others.</param>
internal sealed record CipherSpec(CipherAlgorithm Algorithm, CipherMode Mode, IVAlgorithm IV, DigestAlgorithm? IVHash)
{
    /// <summary>Bytes of the volume's key.</summary>
    public int KeySize => Algorithm.KeySize * (Mode == CipherMode.Xts ? 2 : 1);

    /// <summary>Refuses combinations that cannot be.</summary>
    /// <exception cref="BlockException">In the reference's words.</exception>
    public void Validate()
    {
        if (!BlockCipher.IsSupported(Algorithm)) throw Unsupported($"Algorithm '{Algorithm.Name}' not supported");
        if (Mode == CipherMode.Xts && Algorithm.BlockSize != 16) throw Unsupported($"Unsupported cipher mode {CipherText.Of(Mode)}");
        if (IV != IVAlgorithm.Essiv) return;
        if (IVHash is null) throw new BlockException(BlockErrorKind.Invalid, "Missing IV generator hash specification");
        _ = EssivAlgorithm;
    }

    /// <summary>The algorithm of the same family that takes a digest of <see cref="IVHash"/> as its key.</summary>
    public CipherAlgorithm EssivAlgorithm => CipherAlgorithm.Find(Algorithm.Family, IVHash!.Size) ?? throw (Algorithm.Family switch
    {
        "aes" => Unsupported($"No AES cipher with key size {IVHash.Size} available"),
        "serpent" => Unsupported($"No Serpent cipher with key size {IVHash.Size} available"),
        "twofish" => Unsupported($"No Twofish cipher with key size {IVHash.Size} available"),
        _ => Unsupported($"Cipher {Algorithm.Name} not supported with essiv"),
    });

    private static BlockException Unsupported(string message) => new(BlockErrorKind.Unsupported, message);
}
