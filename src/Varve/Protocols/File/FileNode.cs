using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Protocols.File.Engines;

namespace Varve.Protocols.File;

// What always holds for a file node
//   1. _length is never more than the file's length, as long as nobody else shrinks the file: it grows after a write has.
//   2. _written counts completed changes. A flush notes the count first and the note last, so a change is taken for flushed only
//      when it had completed before a flush began that then succeeded.
//   3. A flush that failed may have lost dirty pages that the kernel then called clean; no later flush can say otherwise. So the
//      failure stays until the node is closed.
//   4. The locks that other processes see cover at least the permissions in use: new ones are taken, and checked against others',
//      before they are used, and old ones given up after. When the descriptor changes, the new one has all its locks before the
//      old one is closed.

/// <summary>A regular file or a device of the host.</summary>
internal sealed partial class FileNode : BlockNode
{
    private readonly ImageLocking _locking;
    private HostFile _file;
    private long _length;

    internal FileNode(NodeOpening opening, string filename, HostFile file, FileEngine engine, ImageLocking locking)
        : base(opening)
    {
        HostPath = filename;
        _file = file;
        Engine = engine;
        _locking = locking;
        _locks = LocksOf(file);
        _length = file.Length;
        TrackBecauseOfAlignment();
    }

    /// <summary>The path the file was opened by.</summary>
    public string HostPath { get; }

    /// <summary>What carries out the requests that may have to wait.</summary>
    internal FileEngine Engine { get; }

    /// <summary>The open file; another one after a change of access, for which the node is drained.</summary>
    internal HostFile File => _file;

    /// <summary>Whether the file is open for writing now; with <c>auto-read-only</c> it is while somebody may write.</summary>
    internal bool IsOpenForWriting => _file.Access.Writable;

    /// <summary>Whether it is a device, whose length nobody changes and which holds what it held before.</summary>
    internal bool IsDevice => _file.Kind != HostFileKind.Regular;

    public override bool HasMedium => _file.HasMedium;

    public override bool ReadsZeroWhenNew => !IsDevice;

    internal override string? FindHostPath() => _file.FindPath();

    /// <summary>Whole sectors: what lies between the file's end and the last sector's reads as zeros.</summary>
    public override long Length => Align.Up(Volatile.Read(ref _length), Align.SectorSize);

    public override int RequestAlignment => _file.Alignment;

    public override bool? IsDirty => false;

    public override ValueTask<long?> GetAllocatedSizeAsync(CancellationToken cancellationToken) => new(_file.AllocatedSize);

    public override JsonObject? GetSpecificInfo()
    {
        if (IsDevice) return null;
        var data = new JsonObject();
        if (_file.ExtentSizeHint is > 0 and uint hint) data["extent-size-hint"] = hint;
        return new JsonObject { ["type"] = "file", ["data"] = data };
    }

    public override JsonObject? GetSpecificStatistics() => _file.Kind == HostFileKind.Cdrom ? null : new()
    {
        ["driver"] = Driver.Name,
        ["discard-nb-ok"] = Volatile.Read(ref _discardsDone),
        ["discard-nb-failed"] = Volatile.Read(ref _discardsFailed),
        ["discard-bytes-ok"] = Volatile.Read(ref _discardedBytes),
    };

    public override async ValueTask CloseAsync()
    {
        try
        {
            if (_file.Access.Writable) await FlushCoreAsync(CancellationToken.None).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            // What nobody flushed was promised to nobody, and whoever needs it durable has flushed and been told. Closing goes on.
        }
        finally
        {
            _file.Dispose();
        }
    }
}

/// <summary>The <c>locking</c> option.</summary>
internal enum ImageLocking { Auto, On, Off }
