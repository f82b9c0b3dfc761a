namespace Varve.Crypto;

/// <summary>ECB: every block for itself. Equal blocks look equal, so it is there for old images only.</summary>
internal sealed class EcbMode(BlockCipher cipher, IVGenerator vectors) : SectorMode(cipher, vectors)
{
    public override void Encrypt(ulong sector, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        source.CopyTo(Work);
        Cipher.Encrypt(Work, source.Length);
        Work.AsSpan(0, source.Length).CopyTo(destination);
    }

    public override void Decrypt(ulong sector, Span<byte> data)
    {
        data.CopyTo(Work);
        Cipher.Decrypt(Work, data.Length);
        Work.AsSpan(0, data.Length).CopyTo(data);
    }
}
