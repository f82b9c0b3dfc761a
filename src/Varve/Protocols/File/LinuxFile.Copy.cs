using System.Runtime.InteropServices;
using Varve.Interop.Linux;

namespace Varve.Protocols.File;

internal partial class LinuxFile
{
    /// <inheritdoc/>
    public override bool TryCopyFrom(HostFile source, long sourceOffset, long offset, long length)
    {
        while (length > 0)
        {
            nint copied = Libc.CopyFileRange(source.Handle, ref sourceOffset, Handle, ref offset, (nint)Math.Min(length, 1 << 30), flags: 0);
            if (copied > 0) length -= copied;
            else if (copied == 0 || Marshal.GetLastPInvokeError() != Errno.EINTR) return false;
        }

        return true;
    }
}
