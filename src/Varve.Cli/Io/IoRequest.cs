using System.Diagnostics;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Io;

/// <summary>How a request's outcome is printed.</summary>
internal sealed class IoRequestPrinting
{
    /// <summary>Says nothing of success.</summary>
    public bool IsQuiet { get; set; }

    /// <summary>Statistics without words.</summary>
    public bool IsForMachines { get; set; }

    /// <summary>Prints what was read.</summary>
    public bool DumpsData { get; set; }
}

/// <summary>What reading and writing commands have in common: buffers, flags, reports.</summary>
internal static class IoRequest
{
    /// <summary>What a buffer holds that nothing was read into.</summary>
    public const byte ReadFill = 0xab;

    /// <summary>What is written where no pattern is given.</summary>
    public const byte WriteFill = 0xcd;

    private const int Misalignment = 16;

    /// <summary>A buffer filled with a byte.</summary>
    /// <param name="engine">Decides on alignment.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="fill">The byte.</param>
    /// <param name="data">Its part to use.</param>
    public static IOBuffer Rent(IoEngine engine, int length, byte fill, out Memory<byte> data)
    {
        int skipped = engine.MisalignsBuffers ? Misalignment : 0;
        IOBuffer buffer = IOBuffer.Rent(length + skipped);
        data = buffer.Memory[skipped..];
        data.Span.Fill(fill);
        return buffer;
    }

    /// <summary>The flags of a write: durable at once if asked for, or if every write is to be.</summary>
    public static WriteFlags Flags(IoEngine engine, bool isFua, bool isCompressed = false)
        => (isFua || engine.IsWriteThrough ? WriteFlags.Fua : WriteFlags.None) | (isCompressed ? WriteFlags.Compressed : WriteFlags.None);

    /// <summary>The flags of writing zeros.</summary>
    public static ZeroFlags Flags(IoEngine engine, bool isFua, bool mayUnmap, bool noFallback)
        => (isFua || engine.IsWriteThrough ? ZeroFlags.Fua : ZeroFlags.None)
           | (mayUnmap ? ZeroFlags.MayUnmap : ZeroFlags.None) | (noFallback ? ZeroFlags.NoFallback : ZeroFlags.None);

    /// <summary>Does one request and says how long it took.</summary>
    /// <returns>Null where it failed, which was printed.</returns>
    public static async ValueTask<TimeSpan?> TimeAsync(Action<string> print, string name, Func<ValueTask> request)
    {
        long start = Stopwatch.GetTimestamp();
        try
        {
            await request().ConfigureAwait(false);
            return Stopwatch.GetElapsedTime(start);
        }
        catch (BlockException e)
        {
            print($"{name} failed: {Errno.Text(e.Errno)}\n");
            return null;
        }
    }

    /// <summary>Looks for a pattern in what was read.</summary>
    /// <param name="print">Where a difference is printed.</param>
    /// <param name="data">What was read.</param>
    /// <param name="pattern">The byte that is expected everywhere; null: anything.</param>
    /// <param name="offset">Where the data was read, for the message.</param>
    public static bool Verify(Action<string> print, ReadOnlySpan<byte> data, byte? pattern, long offset)
    {
        if (pattern is not { } value || data.IndexOfAnyExcept(value) < 0) return true;
        print($"Pattern verification failed at offset {offset}, {data.Length} bytes\n");
        return false;
    }

    /// <summary>Prints a success.</summary>
    public static void Report(Action<string> print, IoRequestPrinting printing, string verb, long offset, long length, TimeSpan elapsed, ReadOnlySpan<byte> data)
    {
        if (printing.IsQuiet) return;
        string dump = printing.DumpsData ? HexDump.Of(data, offset) : "";
        print(dump + IoReport.Of(verb, offset, length, elapsed, printing.IsForMachines));
    }
}
