using Varve.Graph;

namespace Varve.Protocols.File;

// What always holds for a file node
//   1. _length is never more than the file's length, as long as nobody else shrinks the file: it grows after a write has.
//   2. _written counts completed changes. A flush notes the count first and the note last, so a change is taken for flushed only
//      when it had completed before a flush began that then succeeded.
//   3. A flush that failed may have lost dirty pages that the kernel then called clean; no later flush can say otherwise. So the
//      failure stays until the node is closed.

/// <summary>A regular file of the host.</summary>
internal sealed partial class FileNode : BlockNode
{
    private readonly HostFile _file;
    private long _length;

    internal FileNode(NodeOpening opening, string filename, HostFile file)
        : base(opening)
    {
        Filename = filename;
        _file = file;
        _length = file.Length;
    }

    /// <summary>The path the file was opened by.</summary>
    public string Filename { get; }

    public override long Length => Align.Up(Volatile.Read(ref _length), Align.SectorSize);

    public override int RequestAlignment => _file.Alignment;

    public override ValueTask<long?> GetAllocatedSizeAsync(CancellationToken cancellationToken) => new(_file.AllocatedSize);

    public override ValueTask CloseAsync()
    {
        _file.Dispose();
        return default;
    }
}
