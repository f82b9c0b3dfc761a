using Microsoft.Win32.SafeHandles;
using Varve.Protocols.File;

namespace Varve.Tests.Protocols.File;

/// <summary>A host file whose operations are counted, and whose flushes can be made to fail.</summary>
internal sealed class FaultyFile(HostFile file) : HostFile
{
    public int Flushes { get; private set; }

    public int DurableWrites { get; private set; }

    public int ExtentsAsked { get; private set; }

    public bool FailFlush { get; set; }

    public override SafeFileHandle Handle => file.Handle;

    public override HostFileAccess Access => file.Access;

    public override int Alignment => file.Alignment;

    public override long Length => file.Length;

    public override long? AllocatedSize => file.AllocatedSize;

    public override int ReadCached(Span<byte> buffer, long offset) => file.ReadCached(buffer, offset);

    public override void Read(Span<byte> buffer, long offset) => file.Read(buffer, offset);

    public override void Write(ReadOnlySpan<byte> buffer, long offset) => file.Write(buffer, offset);

    public override void WriteDurably(ReadOnlySpan<byte> buffer, long offset)
    {
        DurableWrites++;
        if (FailFlush) throw BlockException.FromErrno(Errno.EIO);
        file.WriteDurably(buffer, offset);
    }

    public override void Flush()
    {
        Flushes++;
        if (FailFlush) throw BlockException.FromErrno(Errno.EIO);
        file.Flush();
    }

    public override bool TryPunchHole(long offset, long length) => file.TryPunchHole(offset, length);

    public override bool TryZeroRange(long offset, long length) => file.TryZeroRange(offset, length);

    public override bool TryAllocate(long offset, long length) => file.TryAllocate(offset, length);

    public override HostExtent FindExtent(long offset)
    {
        ExtentsAsked++;
        return file.FindExtent(offset);
    }

    public override void SetLength(long length) => file.SetLength(length);

    public override string? FindPath() => file.FindPath();

    public override HostFile Reopen(HostFileAccess access) => new FaultyFile(file.Reopen(access));

    public override void Dispose() => file.Dispose();
}
