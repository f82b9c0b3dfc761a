using System.Security.Cryptography;

namespace Varve.Crypto;

/// <summary>Encrypts and decrypts runs of sectors, from any number of threads at once. Nothing is allocated per request.</summary>
/// <remarks>Keys live in the platform's cipher objects, one set for each thread that was ever inside at the same time; disposing zeroes
/// them. The key itself is kept, to make more of those, until then.</remarks>
internal sealed class SectorCipher : IDisposable
{
    /// <summary>Bytes that share a vector.</summary>
    public const int SectorSize = 512;

    private readonly Lock _lock = new();
    private readonly Stack<SectorMode> _idle = [];
    private readonly CipherSpec _spec;
    private readonly byte[] _key;
    private bool _isDisposed;

    /// <param name="spec">How.</param>
    /// <param name="key"><see cref="CipherSpec.KeySize"/> bytes; copied.</param>
    public SectorCipher(CipherSpec spec, ReadOnlySpan<byte> key)
    {
        spec.Validate();
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, spec.KeySize);
        _spec = spec;
        _key = GC.AllocateUninitializedArray<byte>(key.Length, pinned: true);
        key.CopyTo(_key);
        _idle.Push(CreateMode());
    }

    /// <summary>Encrypts whole sectors.</summary>
    /// <param name="sector">The number of the first one.</param>
    /// <param name="source">A multiple of <see cref="SectorSize"/> bytes.</param>
    /// <param name="destination">As long; may be the same memory.</param>
    public void Encrypt(long sector, ReadOnlySpan<byte> source, Span<byte> destination)
    {
        SectorMode mode = Rent();
        try
        {
            for (int done = 0; done < source.Length; done += SectorMode.MaxLength)
            {
                int piece = Math.Min(source.Length - done, SectorMode.MaxLength);
                mode.Encrypt((ulong)(sector + done / SectorSize), source.Slice(done, piece), destination.Slice(done, piece));
            }
        }
        finally
        {
            Return(mode);
        }
    }

    /// <summary>Decrypts whole sectors in place.</summary>
    public void Decrypt(long sector, Span<byte> data)
    {
        SectorMode mode = Rent();
        try
        {
            for (int done = 0; done < data.Length; done += SectorMode.MaxLength)
            {
                mode.Decrypt((ulong)(sector + done / SectorSize), data.Slice(done, Math.Min(data.Length - done, SectorMode.MaxLength)));
            }
        }
        finally
        {
            Return(mode);
        }
    }

    /// <summary>Zeroes the keys. What is still in flight ends first and zeroes its own.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isDisposed = true;
            foreach (SectorMode mode in _idle) mode.Dispose();
            _idle.Clear();
            CryptographicOperations.ZeroMemory(_key);
        }
    }

    private SectorMode Rent()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return _idle.TryPop(out SectorMode? mode) ? mode : CreateMode();
        }
    }

    private void Return(SectorMode mode)
    {
        lock (_lock)
        {
            if (_isDisposed) mode.Dispose();
            else _idle.Push(mode);
        }
    }

    private SectorMode CreateMode()
    {
        ReadOnlySpan<byte> key = _key;
        int size = _spec.Algorithm.KeySize;
        var cipher = BlockCipher.Create(_spec.Algorithm, key[..size]);
        var vectors = new IVGenerator(_spec.IV, _spec.Algorithm.BlockSize, _spec.IV == IVAlgorithm.Essiv ? CreateEssiv(key) : null);
        return _spec.Mode switch
        {
            CipherMode.Xts => new XtsMode(cipher, BlockCipher.Create(_spec.Algorithm, key[size..]), vectors),
            CipherMode.Cbc => new CbcMode(cipher, vectors),
            CipherMode.Ctr => new CtrMode(cipher, vectors),
            _ => new EcbMode(cipher, vectors),
        };
    }

    private BlockCipher CreateEssiv(ReadOnlySpan<byte> key)
    {
        Span<byte> digest = stackalloc byte[_spec.IVHash!.Size];
        _spec.IVHash.Hash(key, digest);
        BlockCipher cipher = BlockCipher.Create(_spec.EssivAlgorithm, digest);
        CryptographicOperations.ZeroMemory(digest);
        return cipher;
    }
}
