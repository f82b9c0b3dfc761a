using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <content>What image formats know beyond their data: names recorded in the header, sizes, checks.</content>
internal abstract partial class BlockNode
{
    /// <summary>The backing file name as the image's header records it, verbatim; null when it records none.</summary>
    /// <remarks>Not the name of <see cref="BackingChild"/>: the two differ when the caller named the backing node, or when the
    /// header was rewritten with a string of the caller's choice.</remarks>
    public string? RecordedBackingFile
    {
        get;
        protected set
        {
            field = value;
            OnRecordedBackingChanged();
        }
    }

    /// <summary>The backing format as the header records it; null when it records none.</summary>
    public string? RecordedBackingFormat { get; protected set; }

    /// <summary>Rewrites the header to name another backing file (or none), and makes it durable. The graph does not change.</summary>
    /// <param name="backingFile">Recorded verbatim; null or empty: none.</param>
    /// <param name="backingFormat">Recorded with it; null: none.</param>
    /// <param name="cancellationToken">Honoured until the write is issued.</param>
    /// <returns>Done when the new header is durable. When it throws, header and recorded names are as before.</returns>
    /// <exception cref="BlockException"><c>Unsupported</c>: the format cannot; <c>Invalid</c>: over 1023 bytes; <c>NoSpace</c>: no room
    /// in the header cluster; <c>Io</c>: the write failed.</exception>
    public virtual ValueTask ChangeBackingFileAsync(string? backingFile, string? backingFormat, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };

    /// <summary>Whether <see cref="MakeEmptyAsync"/> is there.</summary>
    public virtual bool CanBecomeEmpty => false;

    /// <summary>Forgets all data of this image, so that the backing image shows through everywhere; snapshots keep theirs.</summary>
    /// <returns>Done when it is durable. No other request may be in the node.</returns>
    /// <exception cref="BlockException"><c>Unsupported</c>: the format cannot.</exception>
    public virtual ValueTask MakeEmptyAsync(CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };

    /// <summary>Bytes the node's files take on the host, backing images not counted; null when that is not known.</summary>
    public virtual async ValueTask<long?> GetAllocatedSizeAsync(CancellationToken cancellationToken)
    {
        long? total = null;
        foreach (BlockNode file in Children.Where(c => (c.Role & (ChildRole.Data | ChildRole.Metadata | ChildRole.Filtered)) != 0).Select(c => c.Node).Distinct())
        {
            if (await file.GetAllocatedSizeAsync(cancellationToken).ConfigureAwait(false) is not { } size) return null;
            total = (total ?? 0) + size;
        }

        return total;
    }

    /// <summary>The canonical path of the host's file that the image lies in, by the file that is open; null where that is no plain file.</summary>
    internal virtual string? FindHostPath() => PrimaryChild?.Node.FindHostPath();

    /// <summary>Whether the image was not closed cleanly; null where the format does not say (QMP <c>dirty-flag</c>).</summary>
    /// <remarks>A filter says what it filters says, and a plain file is never dirty.</remarks>
    public virtual bool? IsDirty => _children.Find(c => (c.Role & ChildRole.Filtered) != 0)?.Node.IsDirty;

    /// <summary>Whether the image is encrypted.</summary>
    public virtual bool IsEncrypted => false;

    /// <summary>Changes options of the image: its key slots, its version, whatever the format can (<c>img amend</c>).</summary>
    /// <returns>Done when the changes are durable. When it throws, those before the one that failed are made.</returns>
    /// <exception cref="BlockException"><c>Unsupported</c>: the format cannot.</exception>
    public virtual ValueTask AmendAsync(AmendRequest request, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, $"Format driver '{Driver.Name}' does not support option amendment") { NodeName = NodeName };

    /// <summary>Whether an image that was just created, and what a resize adds to one, reads as zeros.</summary>
    /// <remarks>A filter says what it filters says.</remarks>
    public virtual bool ReadsZeroWhenNew => FilteredChild?.Node.ReadsZeroWhenNew ?? true;

    /// <summary>QMP's <c>ImageInfoSpecific</c>: <c>{"type": ..., "data": {...}}</c>; null where the driver has none.</summary>
    public virtual JsonObject? GetSpecificInfo() => null;

    /// <summary>QMP's <c>BlockStatsSpecific</c>: <c>{"driver": ..., ...}</c>; null where the driver has none.</summary>
    public virtual JsonObject? GetSpecificStatistics() => null;

    /// <summary>Compares the image's metadata with itself and repairs what <paramref name="repair"/> asks.</summary>
    /// <exception cref="BlockException"><c>Unsupported</c>: the format has no check.</exception>
    public virtual ValueTask<CheckResult> CheckAsync(CheckRepair repair, IProgress<string>? messages, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, "This image format does not support checks") { NodeName = NodeName };
}

/// <summary>What a check may repair.</summary>
[Flags]
internal enum CheckRepair { None = 0, Leaks = 1, Errors = 2, All = Leaks | Errors }

/// <summary>What a check found (QMP <c>ImageCheck</c>).</summary>
internal sealed record CheckResult
{
    /// <summary>Failures of the check itself: reads that did not work.</summary>
    public long CheckErrors { get; set; }
    public long Corruptions { get; set; }
    public long Leaks { get; set; }
    public long CorruptionsFixed { get; set; }
    public long LeaksFixed { get; set; }
    public long ImageEndOffset { get; set; }
    public long TotalClusters { get; set; }
    public long AllocatedClusters { get; set; }
    public long FragmentedClusters { get; set; }
    public long CompressedClusters { get; set; }
}
