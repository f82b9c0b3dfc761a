using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.Unicode;
using Varve.Crypto;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Objects;

/// <summary><c>secret</c>: a password or key, given inline or in a file, in the clear or encrypted by another secret.</summary>
/// <remarks>With <c>keyid</c> and <c>iv</c> the data is AES-256 in CBC mode with PKCS#7 padding, as the reference has it.</remarks>
internal sealed class Secret : QomObject
{
    private const int KeySize = 32, BlockSize = 16;
    private const int MaxFileSize = 1 << 20;

    private static readonly EnumType s_format = new("QCryptoSecretFormat", ["raw", "base64"]);

    private readonly byte[] _value;

    /// <param name="id">Its id.</param>
    /// <param name="options">Checked against <see cref="Options"/>.</param>
    /// <param name="objects">Where the secret that <c>keyid</c> names is looked up.</param>
    public Secret(string id, JsonObject options, ObjectRegistry objects) : base(id)
    {
        string format = (string?)options["format"] ?? "raw";
        string? keyId = (string?)options["keyid"], vector = (string?)options["iv"], data = (string?)options["data"], file = (string?)options["file"];
        byte[] bytes = Load(data, file);
        _value = keyId is null
            ? format == "base64" ? FromBase64(bytes) : bytes
            : Decrypt(format == "base64" ? FromBase64(bytes) : bytes, keyId, vector, objects);
        Properties =
        [
            new("loaded", "bool", () => true),
            new("format", "QCryptoSecretFormat", () => format),
            new("data", "string", () => data ?? ""),
            new("file", "string", () => file ?? ""),
            new("keyid", "string", () => keyId ?? ""),
            new("iv", "string", () => vector ?? ""),
        ];
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("SecretProperties",
    [
        Optional("loaded", Bool) with { Features = ["deprecated"] }, Optional("format", s_format), Optional("keyid", Str), Optional("iv", Str),
        Optional("data", Str), Optional("file", Str),
    ]);

    public override string TypeName => "secret";

    public override IReadOnlyList<QomProperty> Properties { get; }

    /// <summary>The secret itself.</summary>
    public ReadOnlyMemory<byte> Value => _value;

    /// <summary>A copy for a cipher: text, which ends at the first NUL if there is one. The caller disposes it.</summary>
    /// <exception cref="BlockException">The secret is no text.</exception>
    public SecretBytes CopyPassphrase()
    {
        if (!Utf8.IsValid(_value)) throw Invalid($"Data from secret {Id} is not valid UTF-8");
        ReadOnlySpan<byte> text = _value;
        return new SecretBytes(text.IndexOf((byte)0) is >= 0 and var end ? text[..end] : text);
    }

    public override void Close() => CryptographicOperations.ZeroMemory(_value);

    private static byte[] Load(string? data, string? file)
    {
        if (data is not null) return file is null ? Encoding.UTF8.GetBytes(data) : throw Invalid("'file' and 'data' are mutually exclusive");
        if (file is null) throw Invalid("Either 'file' or 'data' must be provided");
        try
        {
            if (new FileInfo(file) is { Exists: true, Length: > MaxFileSize }) throw Invalid($"Unable to read {file}: larger than {MaxFileSize} bytes");
            return File.ReadAllBytes(file);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Unreadable(file, Errno.ENOENT, e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw Unreadable(file, Errno.EACCES, e);
        }
    }

    private static byte[] Decrypt(byte[] encrypted, string keyId, string? vector, ObjectRegistry objects)
    {
        Secret key = objects.FindSecret(keyId);
        if (key._value.Length != KeySize) throw Invalid($"Key should be {KeySize} bytes in length");
        if (vector is null) throw Invalid("IV is required to decrypt secret");
        byte[] start = FromBase64(Encoding.UTF8.GetBytes(vector));
        if (start.Length != BlockSize) throw Invalid($"IV should be {BlockSize} bytes in length not {start.Length}");
        if (encrypted.Length % BlockSize != 0) throw Invalid($"Length {encrypted.Length} must be a multiple of block size {BlockSize}");
        using var aes = Aes.Create();
        aes.Key = key._value;
        byte[] plain = aes.DecryptCbc(encrypted, start, PaddingMode.None);
        int padding = plain.Length == 0 ? 0 : plain[^1];
        if (padding is 0 or > BlockSize || plain.AsSpan()[^padding..].ContainsAnyExcept((byte)padding))
        {
            throw Invalid($"Incorrect number of padding bytes ({padding}) found on decrypted data");
        }

        return plain[..^padding];
    }

    private static byte[] FromBase64(byte[] text)
    {
        string clean = string.Concat(Encoding.UTF8.GetString(text).Where(c => c is not ('\n' or '\r')));
        try
        {
            return Convert.FromBase64String(clean);
        }
        catch (FormatException)
        {
            throw Invalid("Base64 data contains invalid characters");
        }
    }

    private static BlockException Unreadable(string file, int errno, Exception inner)
        => new(BlockErrorKind.Invalid, $"Unable to read {file}: Failed to open file “{file}”: {Errno.Text(errno)}", inner);

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
