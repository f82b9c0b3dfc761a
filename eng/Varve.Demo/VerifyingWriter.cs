using System.Security.Cryptography;

namespace Varve.Demo;

/// <summary>A guest that keeps writing and verifying: what it reads must be what it wrote last, at every moment.</summary>
internal sealed class VerifyingWriter
{
    private readonly NbdDisk _disk;
    private readonly byte[] _model;
    private readonly Thread _thread;
    private volatile bool _stop;
    private Exception? _failure;

    public VerifyingWriter(NbdDisk disk)
    {
        _disk = disk;
        _model = new byte[disk.Length];
        for (int at = 0; at < _model.Length; at += 1 << 20) disk.Read(at, _model.AsSpan(at, Math.Min(1 << 20, _model.Length - at)));
        _thread = new Thread(Run) { IsBackground = true, Name = "guest" };
        _thread.Start();
    }

    public long Writes { get; private set; }

    public long Reads { get; private set; }

    /// <summary>Ends the writing; throws what the guest saw go wrong.</summary>
    public void Stop()
    {
        _stop = true;
        _thread.Join();
        if (_failure is not null) throw new InvalidOperationException($"the guest was disturbed: {_failure.Message}", _failure);
    }

    /// <summary>SHA-256 of what the guest believes its disk holds.</summary>
    public string ModelChecksum() => Convert.ToHexStringLower(SHA256.HashData(_model));

    /// <summary>SHA-256 of what the disk holds, read through the server.</summary>
    public string DiskChecksum()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[1 << 20];
        for (long at = 0; at < _disk.Length; at += buffer.Length)
        {
            _disk.Read(at, buffer);
            hash.AppendData(buffer);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private void Run()
    {
        var random = new Random(1);
        byte[] block = new byte[64 << 10];
        try
        {
            while (!_stop)
            {
                int length = random.Next(1, block.Length), offset = random.Next(_model.Length - length);
                random.NextBytes(block.AsSpan(0, length));
                _disk.Write(offset, block.AsSpan(0, length));
                block.AsSpan(0, length).CopyTo(_model.AsSpan(offset));
                Writes++;
                if (Writes % 64 == 0) _disk.Flush();

                length = random.Next(1, block.Length);
                offset = random.Next(_model.Length - length);
                _disk.Read(offset, block.AsSpan(0, length));
                if (!block.AsSpan(0, length).SequenceEqual(_model.AsSpan(offset, length)))
                {
                    throw new InvalidDataException($"bytes {offset} to {offset + length} are not what was written");
                }

                Reads++;
            }
        }
        catch (Exception e)
        {
            _failure = e;
        }
    }
}
