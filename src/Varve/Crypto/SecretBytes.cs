using System.Security.Cryptography;

namespace Varve.Crypto;

/// <summary>A key or passphrase in memory that the collector does not move, zeroed when it is disposed.</summary>
internal sealed class SecretBytes(int length) : IDisposable
{
    private readonly byte[] _bytes = GC.AllocateArray<byte>(length, pinned: true);

    public SecretBytes(ReadOnlySpan<byte> bytes) : this(bytes.Length) => bytes.CopyTo(_bytes);

    public int Length => _bytes.Length;

    public Span<byte> Span => _bytes;

    public Memory<byte> Memory => _bytes;

    public void Dispose() => CryptographicOperations.ZeroMemory(_bytes);

    /// <summary>A key of random bytes.</summary>
    public static SecretBytes Random(int length)
    {
        var key = new SecretBytes(length);
        RandomNumberGenerator.Fill(key.Span);
        return key;
    }
}
