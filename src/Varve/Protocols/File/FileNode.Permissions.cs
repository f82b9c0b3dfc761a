using Varve.Graph;

namespace Varve.Protocols.File;

/// <content>Permissions as locks, and the change between a read-only and a writable descriptor.</content>
internal sealed partial class FileNode
{
    private ImageLocks? _locks, _preparedLocks;
    private HostFile? _preparedFile;
    private readonly ExtentCache _extents = new();
    private BlockPermissions _used, _unshared, _preparedUsed, _preparedUnshared;

    /// <summary>Whether the file stays as it is: this node cannot write, and whoever else could is kept out by the image lock.</summary>
    private bool IsUnchanging => !_file.Access.Writable && _locks is not null && (_unshared & BlockPermissions.Write) != 0;

    public override ValueTask PreparePermissionsAsync(
        BlockPermissions needed, BlockPermissions shared, bool readOnly, CancellationToken cancellationToken)
    {
        (_preparedUsed, _preparedUnshared) = (needed, Settings.ForceShare ? BlockPermissions.None : BlockPermissions.All & ~shared);
        const BlockPermissions Writing = BlockPermissions.Write | BlockPermissions.WriteUnchanged | BlockPermissions.Resize;
        bool writable = !readOnly && (!Settings.AutoReadOnly || (needed & Writing) != 0);
        try
        {
            if (writable != _file.Access.Writable) _preparedFile = Reopen(writable);
            _locks?.Add(_preparedUsed, _preparedUnshared);
            _locks?.RefuseConflicts(_preparedUsed, _preparedUnshared);
            if (_preparedFile is not null)
            {
                _preparedLocks = LocksOf(_preparedFile);
                _preparedLocks?.Add(_preparedUsed, _preparedUnshared);   // two descriptors of ours do not contradict each other
            }
        }
        catch
        {
            AbortPermissions();
            throw;
        }

        return default;
    }

    public override void CommitPermissions()
    {
        (_used, _unshared) = (_preparedUsed, _preparedUnshared);
        _extents.Clear();
        if (_preparedFile is null)
        {
            _locks?.KeepOnly(_used, _unshared);
            return;
        }

        HostFile before = _file;
        (_file, _locks) = (_preparedFile, _preparedLocks);
        (_preparedFile, _preparedLocks) = (null, null);
        before.Dispose();
    }

    public override void AbortPermissions()
    {
        _preparedFile?.Dispose();
        (_preparedFile, _preparedLocks) = (null, null);
        _locks?.KeepOnly(_used, _unshared);
    }

    /// <summary>Opens the file for its new access. Giving up write access cannot fail: where the file does not open again, the
    /// descriptor that can do more stays, and the node refuses writes by itself.</summary>
    private HostFile? Reopen(bool writable)
    {
        try
        {
            return _file.Reopen(_file.Access with { Writable = writable });
        }
        catch (BlockException) when (!writable)
        {
            return null;
        }
    }

    private ImageLocks? LocksOf(HostFile file)
        => _locking == ImageLocking.Off ? null : new ImageLocks(file, HostPath, isRequired: _locking == ImageLocking.On);
}
