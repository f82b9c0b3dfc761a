using Varve.Graph;
using Varve.IO;

namespace Varve.Filters.BlkLogWrites;

// A log of writes
//   1. Entries are in the order in which their writes completed, and everything that completed before a flush was issued comes before it.
//   2. The superblock counts complete entries only: it is written after them, with every flush and every so many entries.
//   3. A log that fails fails the write: one that is silently incomplete would be worse than none.

/// <summary>Appends entries to a log, one at a time.</summary>
internal sealed class WriteLog(BlockChild log, int sectorSize, long updateInterval, long entryCount, long nextSector)
{
    private readonly AsyncLock _appending = new();
    private long _entryCount = entryCount, _nextSector = nextSector, _recorded = entryCount;

    public int SectorSize => sectorSize;

    /// <summary>Finds the end of a log that is there.</summary>
    /// <exception cref="BlockException">It is no log, has other sectors, or ends before its last entry.</exception>
    public static async ValueTask<WriteLog> ContinueAsync(BlockChild log, int sectorSize, long updateInterval, CancellationToken cancellationToken)
    {
        if (log.Node.Length == 0) return new WriteLog(log, sectorSize, updateInterval, 0, 1);
        byte[] bytes = new byte[Math.Max(LogEntry.Size, LogSuperblock.Size)];
        await log.Node.ReadAsync(0, bytes, cancellationToken).ConfigureAwait(false);
        LogSuperblock superblock = LogSuperblock.Read(bytes);
        if (superblock.SectorSize != sectorSize)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"Log has sectors of {superblock.SectorSize} bytes, not {sectorSize}");
        }

        long sector = 1, sectors = log.Node.Length / sectorSize;
        for (long i = 0; i < superblock.EntryCount; i++)
        {
            if (sector >= sectors) throw Incomplete(superblock.EntryCount, i);
            await log.Node.ReadAsync(sector * sectorSize, bytes, cancellationToken).ConfigureAwait(false);
            LogEntry entry = LogEntry.Read(bytes);
            if (entry.SectorCount < 0 || entry.SectorCount >= sectors) throw Incomplete(superblock.EntryCount, i);
            sector += entry.SectorsInLog;
        }

        return new WriteLog(log, sectorSize, updateInterval, superblock.EntryCount, sector);
    }

    /// <summary>Appends an entry for a range, with its data where it has some.</summary>
    /// <param name="offset">Bytes, a multiple of <see cref="SectorSize"/>.</param>
    /// <param name="length">Bytes, a multiple of <see cref="SectorSize"/>.</param>
    /// <param name="flags">What kind of change it was.</param>
    /// <param name="data">What was written; empty for zeros.</param>
    /// <param name="cancellationToken">Ends waiting.</param>
    public async ValueTask AppendAsync(long offset, long length, LogEntryFlags flags, ReadOnlyMemory<byte> data, CancellationToken cancellationToken)
    {
        var entry = new LogEntry(offset / sectorSize, length / sectorSize, flags);
        using AsyncLock.Holder held = await _appending.EnterAsync().ConfigureAwait(false);
        long at = _nextSector * sectorSize;
        await WriteSectorAsync(at, entry.WriteTo, cancellationToken).ConfigureAwait(false);
        if ((flags & LogEntryFlags.Discard) == 0 && length > 0)
        {
            if (data.IsEmpty) await log.Node.WriteZeroesAsync(at + sectorSize, length, ZeroFlags.None, cancellationToken).ConfigureAwait(false);
            else await log.Node.WriteAsync(at + sectorSize, data, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        }

        _nextSector += entry.SectorsInLog;
        _entryCount++;
        if ((flags & (LogEntryFlags.Flush | LogEntryFlags.Fua)) != 0 || _entryCount - _recorded >= updateInterval) await RecordAsync(cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Counts everything that was appended.</summary>
    public async ValueTask FinishAsync()
    {
        using AsyncLock.Holder held = await _appending.EnterAsync().ConfigureAwait(false);
        if (_recorded != _entryCount) await RecordAsync(CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask RecordAsync(CancellationToken cancellationToken)
    {
        await log.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        await WriteSectorAsync(0, new LogSuperblock(_entryCount, sectorSize).WriteTo, cancellationToken).ConfigureAwait(false);
        await log.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
        _recorded = _entryCount;
    }

    private delegate void SectorWriter(Span<byte> bytes);

    private async ValueTask WriteSectorAsync(long offset, SectorWriter write, CancellationToken cancellationToken)
    {
        using IOBuffer sector = IOBuffer.Rent(sectorSize);
        sector.Span.Clear();
        write(sector.Span);
        await log.Node.WriteAsync(offset, sector.Memory, WriteFlags.None, cancellationToken).ConfigureAwait(false);
    }

    private static BlockException Incomplete(long count, long found)
        => new(BlockErrorKind.Corrupt, $"Log ends after {found} of {count} entries");
}
