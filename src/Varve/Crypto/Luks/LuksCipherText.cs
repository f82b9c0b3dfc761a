using Varve.Formats;

namespace Varve.Crypto.Luks;

/// <summary>How headers spell a cipher: a family, <c>MODE-IV[:HASH]</c>, and the length of the key. LUKS On-Disk Format, table 2.</summary>
internal static class LuksCipherText
{
    public static string ModeOf(CipherSpec spec)
        => $"{CipherText.Of(spec.Mode)}-{CipherText.Of(spec.IV)}{(spec.IVHash is { } hash ? ":" + hash.Name : "")}";

    public static FormatError? TryParse(string family, string text, uint keySize, out CipherSpec? spec)
    {
        spec = null;
        int dash = text.IndexOf('-', StringComparison.Ordinal);
        if (dash < 0) return FormatError.Unsupported($"Unexpected cipher mode string format '{text}'");
        string modeName = text[..dash], ivName = text[(dash + 1)..];
        string? hashName = null;
        if (ivName.IndexOf(':', StringComparison.Ordinal) is >= 0 and var colon) (ivName, hashName) = (ivName[..colon], ivName[(colon + 1)..]);

        if (CipherText.FindMode(modeName) is not { } mode) return FormatError.Unsupported($"Cipher mode '{modeName}' is not supported");
        if (CipherText.FindIV(ivName) is not { } iv) return FormatError.Unsupported($"IV generator '{ivName}' is not supported");
        DigestAlgorithm? hash = hashName is null ? null : DigestAlgorithm.Find(hashName);
        if (hashName is not null && hash is null) return FormatError.Unsupported($"Hash algorithm '{hashName}' is not supported");

        uint one = mode == CipherMode.Xts ? keySize / 2 : keySize;
        if (keySize > 64 || (mode == CipherMode.Xts && keySize % 2 != 0) || CipherAlgorithm.Find(family, (int)one) is not { } algorithm)
        {
            return FormatError.Unsupported($"Algorithm '{family}' with key size {keySize} bytes not supported");
        }

        var parsed = new CipherSpec(algorithm, mode, iv, iv == IVAlgorithm.Essiv ? hash : null);
        try
        {
            parsed.Validate();
        }
        catch (BlockException e)
        {
            return new FormatError(e.Kind, e.Message);
        }

        spec = parsed;
        return null;
    }
}
