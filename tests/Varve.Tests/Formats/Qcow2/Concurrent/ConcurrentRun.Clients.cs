using Varve.Graph;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <content>What clients do: requests of every kind on ranges that overlap.</content>
internal sealed partial class ConcurrentRun
{
    private const int Requests = 40, MaxLength = 512;

    private async Task ClientAsync(BlockBackend disk, Random random)
    {
        for (int i = 0; i < Requests; i++)
        {
            (int first, int count) = Range(random);
            switch (random.Next(100))
            {
                case < 35:
                    await WriteAsync(disk, first, count, random.Next(6) == 0 ? WriteFlags.Fua : WriteFlags.None);
                    break;
                case < 43 when _features.Compresses:
                    (first, count) = WholeClusters(first, random);
                    await WriteAsync(disk, first, count, WriteFlags.Compressed);
                    break;
                case < 57:
                    await ZeroAsync(disk, first, count, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None);
                    break;
                case < 66:
                    await DiscardAsync(disk, first, count);
                    break;
                case < 70:
                    await disk.FlushAsync();
                    break;
                case < 78:
                    await QueryAsync(disk, first, count);
                    break;
                default:
                    await ReadAsync(disk, first, count);
                    break;
            }
        }
    }

    /// <summary>Half of the time where the others are too, and often of whole clusters; now and then where the backing image ends.</summary>
    private (int First, int Count) Range(Random random)
    {
        int cluster = _features.ClusterSize / SectorValue.Bytes, end = _features.SharedSectors;
        int first = random.Next(2) == 0 ? random.Next(Math.Min(end, 3 * cluster)) : random.Next(end);
        bool isAtBackingEnd = _features.HasBacking && _features.BackingSectors < end && random.Next(4) == 0;
        if (isAtBackingEnd) first = Math.Max(0, _features.BackingSectors - random.Next(cluster));
        if (random.Next(3) == 0) first -= first % cluster;
        int count = random.Next(3) == 0 ? cluster * random.Next(1, 4) : random.Next(1, Math.Min(3 * cluster, MaxLength) + 1);
        return (first, Math.Min(count, end - first));
    }

    private (int First, int Count) WholeClusters(int near, Random random)
    {
        int cluster = _features.ClusterSize / SectorValue.Bytes, last = _features.SharedSectors / cluster;
        int index = Math.Min(near / cluster, last - 1), count = Math.Min(random.Next(1, cluster > MaxLength ? 2 : 4), last - index);
        return (index * cluster, count * cluster);
    }

    private async Task WriteAsync(BlockBackend disk, int first, int count, WriteFlags flags)
    {
        int value = NewValue();
        byte[] data = new byte[count * SectorValue.Bytes];
        SectorValue.Fill(data, first, value);
        Change change = _model.Begin(first, count, value, marks: true);
        try
        {
            await disk.WriteAsync((long)first * SectorValue.Bytes, data, flags);
            _model.End(change);
        }
        catch (BlockException e) when (flags == WriteFlags.Compressed && e.Errno == Errno.EIO)
        {
            _model.End(change, mayHaveLeft: true);      // a cluster that has a place of its own is not written compressed
        }
    }

    private async Task ZeroAsync(BlockBackend disk, int first, int count, ZeroFlags flags)
    {
        Change change = _model.Begin(first, count, SectorValue.Zero, marks: true);
        await disk.WriteZeroesAsync((long)first * SectorValue.Bytes, (long)count * SectorValue.Bytes, flags);
        _model.End(change);
    }

    /// <summary>A discard promises nothing; version 2 cannot say "zero", so that there what lies below may show.</summary>
    private async Task DiscardAsync(BlockBackend disk, int first, int count)
    {
        var values = new IReadOnlyList<int>[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = _features.IsOld ? [SectorValue.Zero, _below[first + i]] : [SectorValue.Zero];
        }

        Change change = _model.Begin(first, values, marks: false);
        await disk.DiscardAsync((long)first * SectorValue.Bytes, (long)count * SectorValue.Bytes);
        _model.End(change, mayHaveLeft: true);
    }

    private async Task ReadAsync(BlockBackend disk, int first, int count)
    {
        byte[] seen = new byte[count * SectorValue.Bytes];
        Observation observation = _model.Observe(first, count);
        await disk.ReadAsync((long)first * SectorValue.Bytes, seen);
        Assert.Null(_model.Close(observation, seen));
    }

    /// <summary>What is said to read as zeros may be zeros.</summary>
    private async Task QueryAsync(BlockBackend disk, int first, int count)
    {
        Observation observation = _model.Observe(first, count);
        BlockStatus status = await disk.RunAsync(
            static (node, range, token) => node.GetStatusAsync(range.Offset, range.Length, precise: true, token),
            (Offset: (long)first * SectorValue.Bytes, Length: (long)count * SectorValue.Bytes));
        _model.Close(observation);
        Assert.InRange(status.Length, 1, (long)count * SectorValue.Bytes);
        for (int s = first; status.IsZero && s < first + status.Length / SectorValue.Bytes; s++)
        {
            Assert.True(observation.Allows(s, SectorValue.Zero), $"sector {s} is said to be zero, not one of {observation.Describe(s)}");
        }
    }
}
