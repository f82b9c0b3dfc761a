using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>struct io_uring_params: what is asked of io_uring_setup(2), and what it answers.</summary>
/// <remarks>
/// 0 u32 sq_entries  4 u32 cq_entries  8 u32 flags  12 u32 sq_thread_cpu  16 u32 sq_thread_idle  20 u32 features  24 u32 wq_fd
/// 40 offsets in the submission ring: 0 head  4 tail  8 mask  12 entries  16 flags  20 dropped  24 array
/// 80 offsets in the completion ring: 0 head  4 tail  8 mask  12 entries  16 overflow  20 cqes  24 flags
/// </remarks>
[StructLayout(LayoutKind.Explicit, Size = 120)]
internal struct UringParameters
{
    [FieldOffset(0)] public uint SubmissionEntries;
    [FieldOffset(4)] public uint CompletionEntries;
    [FieldOffset(8)] public UringSetupFlags Flags;
    [FieldOffset(20)] public UringFeatures Features;
    [FieldOffset(40)] public uint SubmissionHead;
    [FieldOffset(44)] public uint SubmissionTail;
    [FieldOffset(48)] public uint SubmissionMask;
    [FieldOffset(64)] public uint SubmissionArray;
    [FieldOffset(80)] public uint CompletionHead;
    [FieldOffset(84)] public uint CompletionTail;
    [FieldOffset(88)] public uint CompletionMask;
    [FieldOffset(100)] public uint Completions;
}

[Flags]
internal enum UringSetupFlags : uint
{
    None = 0,

    /// <summary>IORING_SETUP_CLAMP: more entries than there may be are fewer, not an error.</summary>
    Clamp = 1 << 4,
}

[Flags]
internal enum UringFeatures : uint
{
    /// <summary>IORING_FEAT_SINGLE_MMAP (Linux 5.4): both rings lie in one mapping.</summary>
    SingleMap = 1,

    /// <summary>IORING_FEAT_RW_CUR_POS: came with Linux 5.6, as IORING_OP_READ, WRITE and FALLOCATE did.</summary>
    CurrentPosition = 1 << 3,
}

/// <summary>IORING_OP_*.</summary>
internal enum UringOperation : byte { None = 0, Sync = 3, Allocate = 17, Read = 22, Write = 23 }

/// <summary>struct io_uring_sqe: one request. 64 bytes; unused ones are zero.</summary>
/// <remarks>0 u8 opcode  1 u8 flags  4 s32 fd  8 u64 off  16 u64 addr  24 u32 len  28 u32 flags of the operation  32 u64 user_data</remarks>
[StructLayout(LayoutKind.Explicit, Size = 64)]
internal struct UringEntry
{
    [FieldOffset(0)] public UringOperation Operation;
    [FieldOffset(4)] public int Descriptor;
    [FieldOffset(8)] public long Offset;

    /// <summary>Where the data is; the length of the range for <see cref="UringOperation.Allocate"/>.</summary>
    [FieldOffset(16)] public long Address;

    /// <summary>Bytes of the data; the mode for <see cref="UringOperation.Allocate"/>.</summary>
    [FieldOffset(24)] public int Length;

    /// <summary><see cref="ReadWriteFlags"/>; 1 (IORING_FSYNC_DATASYNC) makes <see cref="UringOperation.Sync"/> an fdatasync.</summary>
    [FieldOffset(28)] public int Flags;

    [FieldOffset(32)] public ulong Cookie;
}

/// <summary>struct io_uring_cqe: how one request ended. Bytes done or the negated errno.</summary>
[StructLayout(LayoutKind.Explicit, Size = 16)]
internal struct UringCompletion
{
    [FieldOffset(0)] public ulong Cookie;
    [FieldOffset(8)] public int Result;
}

internal static partial class Libc
{
    // The same on every architecture Linux has had since 5.1.
    private const nint SysUringSetup = 425, SysUringEnter = 426;

    /// <summary>IORING_ENTER_GETEVENTS: wait for completions.</summary>
    private const nint UringGetEvents = 1;

    internal const int MapReadWrite = 3;    // PROT_READ | PROT_WRITE
    internal const int MapShared = 0x8001;  // MAP_SHARED | MAP_POPULATE

    /// <summary>io_uring_setup(2): a descriptor, or -1.</summary>
    internal static int UringSetup(int entries, ref UringParameters parameters) => (int)Syscall(SysUringSetup, entries, ref parameters);

    /// <summary>io_uring_enter(2): how many entries were taken, or -1.</summary>
    internal static int UringEnter(SafeFileHandle ring, int submitted, int awaited)
        => (int)Syscall(SysUringEnter, ring, submitted, awaited, awaited > 0 ? UringGetEvents : 0, 0, 0);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Syscall(nint number, nint entries, ref UringParameters parameters);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint Syscall(nint number, SafeFileHandle ring, nint submitted, nint awaited, nint flags, nint signals, nint size);

    /// <summary>mmap(2): the address, or -1.</summary>
    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint MemoryMap(nint address, nint length, int protection, int flags, SafeFileHandle file, long offset);

    [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
    internal static partial int MemoryUnmap(nint address, nint length);
}
