namespace Varve.Nbd.Wire;

/// <summary>The one table from errno to what travels: the protocol's "Error values", with the reference's choices.</summary>
internal static class NbdErrors
{
    public static NbdError Of(BlockException failure) => Of(failure.Errno);

    public static NbdError Of(int errno) => errno switch
    {
        Errno.EPERM or Errno.EACCES or Errno.EROFS => NbdError.PermissionDenied,
        Errno.EIO => NbdError.InputOutput,
        Errno.ENOMEM => NbdError.NoMemory,
        Errno.ENOSPC or Errno.EFBIG or DiskQuotaExceeded => NbdError.NoSpace,
        Errno.EOVERFLOW => NbdError.Overflow,
        Errno.EOPNOTSUPP => NbdError.NotSupported,
        Errno.ESHUTDOWN => NbdError.Shutdown,
        _ => NbdError.Invalid,
    };

    /// <summary>What a server's error means here; one that the protocol does not know counts as invalid.</summary>
    public static int ErrnoOf(NbdError error) => error switch
    {
        NbdError.PermissionDenied => Errno.EPERM,
        NbdError.InputOutput => Errno.EIO,
        NbdError.NoMemory => Errno.ENOMEM,
        NbdError.NoSpace => Errno.ENOSPC,
        NbdError.Overflow => Errno.EOVERFLOW,
        NbdError.NotSupported => Errno.EOPNOTSUPP,
        NbdError.Shutdown => Errno.ESHUTDOWN,
        _ => Errno.EINVAL,
    };

    private const int DiskQuotaExceeded = 122;   // EDQUOT
}
