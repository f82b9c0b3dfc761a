using System.Text.Json.Nodes;
using Varve.Crypto;
using Varve.Crypto.Luks;
using Varve.Objects;

namespace Varve.Formats.Qcow2;

/// <summary>How a new image is to be encrypted (<c>QCryptoBlockCreateOptions</c>).</summary>
/// <param name="Volume">Of LUKS; null: the legacy format, which needs nothing on disk.</param>
/// <param name="Passphrase">Zeroed when the creation is over.</param>
internal sealed record Qcow2Encryption(LuksCreateOptions? Volume, SecretBytes Passphrase) : IDisposable
{
    public uint Method => Volume is null ? 1u : 2u;

    /// <summary>Bytes of the LUKS header and its key material.</summary>
    public long HeaderSize => Volume?.HeaderSize ?? 0;

    /// <exception cref="BlockException">In the reference's words.</exception>
    public static Qcow2Encryption? FromJson(JsonObject? options, ObjectRegistry objects)
    {
        if (options is null) return null;
        LuksCreateOptions? volume = (string?)options["format"] == "luks" ? LuksCreateOptions.FromJson(options) : null;
        string secret = (string?)options["key-secret"]
            ?? throw new BlockException(BlockErrorKind.Invalid, "Parameter 'encrypt.key-secret' is required for cipher");
        return new Qcow2Encryption(volume, objects.FindSecret(secret).CopyPassphrase());
    }

    public void Dispose() => Passphrase.Dispose();
}
