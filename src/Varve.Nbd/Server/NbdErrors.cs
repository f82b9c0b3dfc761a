using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

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

    private const int DiskQuotaExceeded = 122;   // EDQUOT
}
