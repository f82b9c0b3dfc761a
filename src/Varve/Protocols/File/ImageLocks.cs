using System.Numerics;
using Varve.Graph;

namespace Varve.Protocols.File;

// Image locks, shared with QEMU
//   1. Two groups of bytes of the file stand for the permissions: byte 100 + n is locked by whoever uses permission n, byte 200 + n
//      by whoever does not share it. n is 0 for consistent-read, 1 for write, 2 for write-unchanged, 3 for resize.
//   2. All locks are shared ones, so taking them never fails because of another image user. The conflict is found afterwards, by
//      asking who else has locked the opposite byte: first lock, then look. Of two who come at once at least one sees the other.
//   3. Locks belong to the open file description: they end when the last descriptor for it is closed, however the process ends.

/// <summary>The locks of one open image file that tell other processes which permissions are in use here.</summary>
internal sealed class ImageLocks(HostFile file, string filename, bool isRequired)
{
    private const int UsedByte = 100, UnsharedByte = 200;
    private static readonly BlockPermissions[] s_permissions =
        [BlockPermissions.ConsistentRead, BlockPermissions.Write, BlockPermissions.WriteUnchanged, BlockPermissions.Resize];

    private BlockPermissions _used, _unshared;
    private bool _isUnavailable;

    /// <summary>Locks what is not locked yet.</summary>
    /// <exception cref="BlockException">A byte cannot be locked; what was locked before still is.</exception>
    public void Add(BlockPermissions used, BlockPermissions unshared)
    {
        (BlockPermissions usedBefore, BlockPermissions unsharedBefore) = (_used, _unshared);
        try
        {
            foreach (BlockPermissions permission in s_permissions)
            {
                if ((used & ~_used & permission) != 0 && Lock(UsedByte, permission)) _used |= permission;
                if ((unshared & ~_unshared & permission) != 0 && Lock(UnsharedByte, permission)) _unshared |= permission;
            }
        }
        catch
        {
            KeepOnly(usedBefore, unsharedBefore);
            throw;
        }
    }

    /// <summary>Refuses when another user of the image stands against what we use or do not share.</summary>
    /// <exception cref="BlockException"><c>InUse</c>, with the texts scripts know and a hint that names the other user.</exception>
    public void RefuseConflicts(BlockPermissions used, BlockPermissions unshared)
    {
        if (_isUnavailable) return;
        foreach (BlockPermissions permission in s_permissions)
        {
            if ((used & permission) != 0) RefuseIfLocked(UnsharedByte, permission, "");
        }

        foreach (BlockPermissions permission in s_permissions)
        {
            if ((unshared & permission) != 0) RefuseIfLocked(UsedByte, permission, "shared ");
        }
    }

    /// <summary>Unlocks the rest.</summary>
    public void KeepOnly(BlockPermissions used, BlockPermissions unshared)
    {
        foreach (BlockPermissions permission in s_permissions)
        {
            if ((_used & ~used & permission) != 0) file.Unlock(UsedByte + Number(permission));
            if ((_unshared & ~unshared & permission) != 0) file.Unlock(UnsharedByte + Number(permission));
        }

        _used &= used;
        _unshared &= unshared;
    }

    private bool Lock(int group, BlockPermissions permission)
    {
        if (_isUnavailable) return false;
        int offset = group + Number(permission);
        switch (file.TryLock(offset))
        {
            case 0:
                return true;
            case Errno.ENOSYS or Errno.EOPNOTSUPP or Errno.EINVAL or Errno.ENOLCK when !isRequired:
                _isUnavailable = true;
                return false;
            case int errno:
                throw BlockException.FromErrno(errno, $"Failed to lock byte {offset}");
        }
    }

    private void RefuseIfLocked(int group, BlockPermissions permission, string shared)
    {
        int offset = group + Number(permission);
        if (!file.IsLockedByOther(offset)) return;
        string hint = $"Is another process using the image [{filename}]?";
        if (file.DescribeLockHolder(offset) is { } holder) hint += $"\nIt is locked by {holder}.";
        throw new BlockException(BlockErrorKind.InUse, $"Failed to get {shared}\"{permission.Names()}\" lock") { Errno = Errno.EAGAIN, Hint = hint };
    }

    private static int Number(BlockPermissions permission) => BitOperations.Log2((uint)permission);
}
