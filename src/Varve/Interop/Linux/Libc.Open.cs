using System.Runtime.InteropServices;

namespace Varve.Interop.Linux;

/// <summary>Flags of open(2); the values every 64-bit Linux uses, except where <see cref="Libc.DirectFlag"/> says otherwise.</summary>
[Flags]
internal enum OpenFlags
{
    ReadOnly = 0,
    WriteOnly = 1,
    ReadWrite = 2,
    AccessMode = 3,
    Create = 0x40,
    Exclusive = 0x80,
    Truncate = 0x200,
    NonBlock = 0x800,
    CloseOnExec = 0x80000,
}

/// <summary>The C library, one function a file. Calls return what the C function returns; errno is in
/// <see cref="Marshal.GetLastPInvokeError"/> and becomes an exception in the caller.</summary>
internal static partial class Libc
{
    /// <summary>O_DIRECT, the one flag of open(2) that differs between the architectures we run on.</summary>
    public static OpenFlags DirectFlag { get; } = (OpenFlags)(RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.Arm or Architecture.Arm64 or Architecture.Armv6 => 0x10000,
        Architecture.Ppc64le => 0x20000,
        _ => 0x4000,
    });

    /// <summary>open(2): a descriptor, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial int Open(string path, OpenFlags flags, uint mode);
}
