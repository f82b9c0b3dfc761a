namespace Varve.Crypto;

/// <summary>How blocks of a sector are chained (QMP <c>QCryptoCipherMode</c>).</summary>
internal enum CipherMode { Ecb, Cbc, Xts, Ctr }

/// <summary>How a sector's number becomes its initialization vector (QMP <c>QCryptoIVGenAlgorithm</c>).</summary>
internal enum IVAlgorithm
{
    /// <summary>The number's low 32 bits.</summary>
    Plain,

    /// <summary>The number.</summary>
    Plain64,

    /// <summary>The number, encrypted with a hash of the key.</summary>
    Essiv,
}

/// <summary>The words of options and headers for modes and generators.</summary>
internal static class CipherText
{
    public static CipherMode? FindMode(string name) => name switch
    {
        "ecb" => CipherMode.Ecb,
        "cbc" => CipherMode.Cbc,
        "xts" => CipherMode.Xts,
        "ctr" => CipherMode.Ctr,
        _ => null,
    };

    public static IVAlgorithm? FindIV(string name) => name switch
    {
        "plain" => IVAlgorithm.Plain,
        "plain64" => IVAlgorithm.Plain64,
        "essiv" => IVAlgorithm.Essiv,
        _ => null,
    };

    public static string Of(CipherMode mode) => mode switch
    {
        CipherMode.Ecb => "ecb",
        CipherMode.Cbc => "cbc",
        CipherMode.Xts => "xts",
        _ => "ctr",
    };

    public static string Of(IVAlgorithm algorithm) => algorithm switch
    {
        IVAlgorithm.Plain => "plain",
        IVAlgorithm.Plain64 => "plain64",
        _ => "essiv",
    };
}
