using Varve.Graph;

namespace Varve.Tests.Nbd.Client;

/// <summary>Random requests to a disk that reads as zeros, many at a time, compared with a byte array.</summary>
internal static class RandomRequests
{
    private const int Lanes = 8, Steps = 60;

    public static async Task RunAsync(BlockBackend disk, int size, int seed)
    {
        var model = new byte[size];

        // Each lane has a part of the disk to itself, so that the order of requests in flight does not matter.
        await Task.WhenAll(Enumerable.Range(0, Lanes).Select(lane => Task.Run(async () =>
        {
            var random = new Random((seed * 100) + lane);
            int start = lane * (size / Lanes), end = start + (size / Lanes);
            for (int step = 0; step < Steps; step++)
            {
                int offset = random.Next(start, end), length = random.Next(1, Math.Min(end - offset, 100_000) + 1);
                switch (random.Next(4))
                {
                    case 0:
                        byte[] data = new byte[length];
                        random.NextBytes(data);
                        data.CopyTo(model.AsSpan(offset));
                        await disk.WriteAsync(offset, data, step % 3 == 0 ? WriteFlags.Fua : WriteFlags.None);
                        break;
                    case 1:
                        model.AsSpan(offset, length).Clear();
                        await disk.WriteZeroesAsync(offset, length, step % 2 == 0 ? ZeroFlags.MayUnmap : ZeroFlags.Fua);
                        break;
                    case 2:
                        await disk.FlushAsync();
                        break;
                    default:
                        var read = new byte[length];
                        await disk.ReadAsync(offset, read);
                        Assert.True(read.AsSpan().SequenceEqual(model.AsSpan(offset, length)), $"lane {lane} step {step}");
                        break;
                }
            }
        })));

        var all = new byte[size];
        await disk.ReadAsync(0, all);
        Assert.True(all.AsSpan().SequenceEqual(model));
    }
}
