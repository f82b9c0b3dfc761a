using System.Buffers.Binary;

namespace Varve.Filters.BlkLogWrites;

/// <summary>What an entry records besides its place.</summary>
[Flags]
internal enum LogEntryFlags { None = 0, Flush = 1, Fua = 2, Discard = 4, Mark = 8 }

/// <summary>The head of an entry of a write log, a sector of its own before the data; little-endian.</summary>
/// <remarks>0 u64 sector  8 u64 number of sectors  16 u64 flags  24 u64 length of a mark's text</remarks>
/// <param name="Sector">Where the change was, in the log's sectors.</param>
/// <param name="SectorCount">How many; that many follow as data, except for a discard.</param>
/// <param name="Flags">What kind of change it was.</param>
internal readonly record struct LogEntry(long Sector, long SectorCount, LogEntryFlags Flags)
{
    public const int Size = 32;

    /// <summary>Sectors of the log the entry takes, with its head.</summary>
    public long SectorsInLog => 1 + ((Flags & LogEntryFlags.Discard) != 0 ? 0 : SectorCount);

    public static LogEntry Read(ReadOnlySpan<byte> bytes) => new(
        (long)BinaryPrimitives.ReadUInt64LittleEndian(bytes),
        (long)BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        (LogEntryFlags)BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));

    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (ulong)Sector);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], (ulong)SectorCount);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], (ulong)Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], 0);
    }
}
