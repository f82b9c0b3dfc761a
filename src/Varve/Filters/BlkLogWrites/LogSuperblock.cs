using System.Buffers.Binary;

namespace Varve.Filters.BlkLogWrites;

/// <summary>The first sector of a write log; little-endian. The format is that of Linux's dm-log-writes.</summary>
/// <remarks>0 u64 magic  8 u64 version  16 u64 number of entries  24 u32 sector size</remarks>
/// <param name="EntryCount">Entries that are complete in the log.</param>
/// <param name="SectorSize">Bytes; everything in the log is counted and aligned in it.</param>
internal readonly record struct LogSuperblock(long EntryCount, int SectorSize)
{
    public const ulong Magic = 0x6a73_6677_7368_72;   // "jsfwshr", so "rhswfsj" on disk
    public const int Size = 28;
    private const ulong Version = 1;

    /// <summary>Reads a log's first bytes.</summary>
    /// <exception cref="BlockException">It is no log, or not one of ours to continue.</exception>
    public static LogSuperblock Read(ReadOnlySpan<byte> bytes)
    {
        ulong magic = BinaryPrimitives.ReadUInt64LittleEndian(bytes), version = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
        if (magic != Magic) throw new BlockException(BlockErrorKind.Invalid, $"Invalid log superblock magic 0x{magic:x}");
        if (version != Version) throw new BlockException(BlockErrorKind.Unsupported, $"Unsupported log version {version}");
        ulong entries = BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]);
        uint sectorSize = BinaryPrimitives.ReadUInt32LittleEndian(bytes[24..]);
        if (entries > long.MaxValue) throw new BlockException(BlockErrorKind.Invalid, $"Invalid number of log entries {entries}");
        return new LogSuperblock((long)entries, (int)Math.Min(sectorSize, int.MaxValue));
    }

    /// <summary>Writes the fixed part; the rest of the sector is zeros.</summary>
    public void WriteTo(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, Magic);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], Version);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], (ulong)EntryCount);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[24..], (uint)SectorSize);
    }
}
