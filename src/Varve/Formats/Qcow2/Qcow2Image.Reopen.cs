using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Between read-only and read-write.</content>
internal sealed partial class Qcow2Image
{
    private readonly AsyncLock _preparing = new();
    private volatile bool _isPreparedForWriting;
    private bool? _readOnlyNext;

    public override Func<CancellationToken, ValueTask>? PrepareReopen(NodeOpening opening)
    {
        Qcow2RuntimeOptions options = Qcow2RuntimeOptions.Take(opening, _header);
        return options == _options ? null : token => ReopenAsync(options, token);
    }

    public override void ForgetReplaced(JsonObject given, JsonObject changes) => Qcow2RuntimeOptions.ForgetReplaced(given, changes);

    private async ValueTask ReopenAsync(Qcow2RuntimeOptions options, CancellationToken cancellationToken)
    {
        if (!IsReadOnly && !_isUnusable) await CloseTablesAsync().ConfigureAwait(false);
        Qcow2RuntimeOptions before = _options;
        _options = options;
        try
        {
            await ReadTablesAsync(cancellationToken).ConfigureAwait(false);   // caches of the new sizes
        }
        catch (BlockException)
        {
            _options = before;
            throw;
        }

        StartCleaning();
    }

    public override async ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken)
    {
        if (_showsSnapshot && !readOnly) BlockThrow.ReadOnly(this);
        _readOnlyNext = readOnly == IsReadOnly ? null : readOnly;

        // Whoever reopens has drained the node, so nothing becomes dirty between here and the change.
        if (!readOnly || IsReadOnly || _l2 is null || _isUnusable) return;
        try
        {
            await EndWritingAsync().ConfigureAwait(false);
        }
        finally
        {
            _isPreparedForWriting = false;   // should the change not be made after all, the next write finds stored bitmaps
        }
    }

    public override void CommitPermissions()
    {
        // What a writer owes the image is paid before its first write: only then is the file below surely writable.
        if (_readOnlyNext is { } isReadOnly)
        {
            _isPreparedForWriting = false;
            foreach (Bitmaps.DirtyBitmap bitmap in Bitmaps.Named) bitmap.IsReadOnly = isReadOnly;
            Bitmaps.OnChanged();
        }

        _readOnlyNext = null;
    }

    public override void AbortPermissions() => _readOnlyNext = null;

    /// <summary>Bitmaps are stored, and everything else is written back whatever became of them.</summary>
    private async ValueTask EndWritingAsync()
    {
        try
        {
            await StoreBitmapsAsync().ConfigureAwait(false);
        }
        finally
        {
            await CloseTablesAsync().ConfigureAwait(false);
        }
    }

    /// <summary>What a writer owes an image before its first write: right refcounts, and no claims that our writes would belie.</summary>
    private ValueTask PrepareForWritingAsync(CancellationToken cancellationToken)
        => _isPreparedForWriting ? default : PrepareForWritingOnceAsync(cancellationToken);

    private async ValueTask PrepareForWritingOnceAsync(CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await _preparing.EnterAsync().ConfigureAwait(false);
        if (_isPreparedForWriting) return;
        if (IsDirty == true) await RepairDirtyAsync(cancellationToken).ConfigureAwait(false);

        // Whoever set other bits keeps data that our writes would make stale without a trace. Cleared and durable before the first write.
        Qcow2Autoclear kept = (IsDataFileRaw ? Qcow2Autoclear.RawExternalData : Qcow2Autoclear.None)
            | (_directory.Count > 0 ? Qcow2Autoclear.Bitmaps : Qcow2Autoclear.None);
        if ((_header.Autoclear & ~kept) != 0)
        {
            await UpdateHeaderAsync(h => h with { Autoclear = h.Autoclear & kept }, cancellationToken).ConfigureAwait(false);
        }

        if (!_isUnusable) await TakeBitmapsIntoUseAsync(cancellationToken).ConfigureAwait(false);
        _isPreparedForWriting = true;
    }

    /// <summary>Rebuilds the refcounts of an image that was not closed cleanly.</summary>
    private async ValueTask RepairDirtyAsync(CancellationToken cancellationToken)
    {
        CheckResult result = await CheckAsync(CheckRepair.All, new RepairLines(Graph), cancellationToken).ConfigureAwait(false);
        if (result.CheckErrors > 0 || result.Corruptions > result.CorruptionsFixed)
        {
            throw new BlockException(BlockErrorKind.Io, "Could not repair dirty image") { NodeName = NodeName };
        }

        await MarkCleanAsync(cancellationToken).ConfigureAwait(false);
    }

    private sealed class RepairLines(BlockGraph graph) : IProgress<string>
    {
        public void Report(string value) => graph.OnNotice(value);
    }
}
