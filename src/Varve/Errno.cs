namespace Varve;

/// <summary>Linux errno values that cross our edges, their C library texts, and their <see cref="BlockErrorKind"/>.</summary>
/// <remarks>Texts are strerror(3)'s in the C locale: job errors and tools print them, and scripts compare them.</remarks>
internal static class Errno
{
    public const int
        EPERM = 1, ENOENT = 2, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, EBADF = 9, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EBUSY = 16,
        EEXIST = 17, ENODEV = 19, ENOTDIR = 20, EISDIR = 21, EINVAL = 22, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27, ENOSPC = 28,
        ESPIPE = 29, EROFS = 30, EPIPE = 32, ERANGE = 34, ENAMETOOLONG = 36, ENOSYS = 38, ELOOP = 40, EOVERFLOW = 75, ENOLCK = 37, EOPNOTSUPP = 95,
        EADDRINUSE = 98, ENETUNREACH = 101, ECONNRESET = 104, ENOTCONN = 107, ESHUTDOWN = 108, ETIMEDOUT = 110, ECONNREFUSED = 111,
        EHOSTUNREACH = 113, EDQUOT = 122, ECANCELED = 125, ENOMEDIUM = 123;

    /// <summary>The errno an edge reports for a kind when the failure did not come with one.</summary>
    public static int Of(BlockErrorKind kind) => kind switch
    {
        BlockErrorKind.Io or BlockErrorKind.Corrupt => EIO,
        BlockErrorKind.Unsupported => EOPNOTSUPP,
        BlockErrorKind.Invalid => EINVAL,
        BlockErrorKind.NoSpace => ENOSPC,
        BlockErrorKind.ReadOnly => EROFS,
        BlockErrorKind.NotFound => ENOENT,
        BlockErrorKind.InUse => EBUSY,
        BlockErrorKind.Denied => EPERM,
        BlockErrorKind.TooLarge => EFBIG,
        _ => EIO,
    };

    /// <summary>The kind a system call's errno belongs to.</summary>
    public static BlockErrorKind KindOf(int errno) => errno switch
    {
        EOPNOTSUPP or ENOSYS or ENOTTY => BlockErrorKind.Unsupported,
        EINVAL or ENAMETOOLONG or ERANGE => BlockErrorKind.Invalid,
        ENOSPC or EDQUOT => BlockErrorKind.NoSpace,
        EROFS => BlockErrorKind.ReadOnly,
        ENOENT or ENOTDIR or ENXIO or ENODEV or ENOMEDIUM => BlockErrorKind.NotFound,
        EBUSY or EAGAIN or EEXIST or ETXTBSY or EADDRINUSE => BlockErrorKind.InUse,
        EPERM or EACCES => BlockErrorKind.Denied,
        EFBIG or EOVERFLOW => BlockErrorKind.TooLarge,
        _ => BlockErrorKind.Io,
    };

    /// <summary>strerror(3) in the C locale.</summary>
    public static string Text(int errno) => errno switch
    {
        EPERM => "Operation not permitted",
        ENOENT => "No such file or directory",
        EINTR => "Interrupted system call",
        EIO => "Input/output error",
        ENXIO => "No such device or address",
        E2BIG => "Argument list too long",
        EBADF => "Bad file descriptor",
        EAGAIN => "Resource temporarily unavailable",
        ENOMEM => "Cannot allocate memory",
        EACCES => "Permission denied",
        EBUSY => "Device or resource busy",
        EEXIST => "File exists",
        ENODEV => "No such device",
        ENOTDIR => "Not a directory",
        EISDIR => "Is a directory",
        EINVAL => "Invalid argument",
        EMFILE => "Too many open files",
        ENOTTY => "Inappropriate ioctl for device",
        ETXTBSY => "Text file busy",
        EFBIG => "File too large",
        ENOSPC => "No space left on device",
        ESPIPE => "Illegal seek",
        EROFS => "Read-only file system",
        EPIPE => "Broken pipe",
        ERANGE => "Numerical result out of range",
        ENAMETOOLONG => "File name too long",
        ENOLCK => "No locks available",
        ENOSYS => "Function not implemented",
        ELOOP => "Too many levels of symbolic links",
        EOVERFLOW => "Value too large for defined data type",
        EOPNOTSUPP => "Operation not supported",
        EADDRINUSE => "Address already in use",
        ENETUNREACH => "Network is unreachable",
        ECONNRESET => "Connection reset by peer",
        ENOTCONN => "Transport endpoint is not connected",
        ESHUTDOWN => "Cannot send after transport endpoint shutdown",
        ETIMEDOUT => "Connection timed out",
        ECONNREFUSED => "Connection refused",
        EHOSTUNREACH => "No route to host",
        ENOMEDIUM => "No medium found",
        EDQUOT => "Disk quota exceeded",
        ECANCELED => "Operation canceled",
        _ => $"Unknown error {errno}",
    };
}
