using Varve.Graph;

namespace Varve.Tests.Support;

/// <summary>Watches a file in memory, one request at a time, and says what could be found in it had the power gone at any of them.</summary>
internal sealed class PowerLoss
{
    private const int Sector = 512;
    private readonly MemoryBytes _bytes;
    private readonly List<(long Offset, byte[] Data)> _unflushed = [];
    private readonly Random _random;
    private byte[] _durable;
    private (long Offset, int Length)? _pending;

    public PowerLoss(MemoryNode file, int seed)
    {
        _bytes = file.Bytes;
        _durable = _bytes.ToArray();
        _random = new Random(seed);
        file.OnRequest = (kind, offset, length) =>
        {
            Observe(kind, offset, (int)length);
            return default;
        };
    }

    /// <summary>What the file may hold after each boundary: everything durable, and of the rest all, nothing, or any sectors.</summary>
    public List<byte[]> Survivors { get; } = [];

    private void Observe(string kind, long offset, int length)
    {
        if (_pending is { } done)
        {
            byte[] data = new byte[done.Length];
            _bytes.Read(done.Offset, data);
            _unflushed.Add((done.Offset, data));
            _pending = null;
            foreach (double kept in (double[])[0, 0.5, 0.5, 1]) Survivors.Add(Survivor(kept));
        }

        if (kind == "write")
        {
            _pending = (offset, length);
        }
        else if (kind == "flush")
        {
            _durable = Survivor(1);
            _unflushed.Clear();
        }
    }

    private byte[] Survivor(double kept)
    {
        byte[] bytes = [.. _durable];
        foreach ((long offset, byte[] data) in _unflushed)
        {
            if (offset + data.Length > bytes.Length) Array.Resize(ref bytes, (int)offset + data.Length);
            for (int at = 0; at < data.Length; at += Sector)
            {
                if (_random.NextDouble() < kept) data.AsSpan(at, Math.Min(Sector, data.Length - at)).CopyTo(bytes.AsSpan((int)offset + at));
            }
        }

        return bytes;
    }
}
