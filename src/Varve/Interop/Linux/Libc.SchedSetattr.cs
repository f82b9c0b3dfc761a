using System.Runtime.InteropServices;

namespace Varve.Interop.Linux;

/// <summary>struct sched_attr, the first version.</summary>
/// <remarks>0 u32 size  4 u32 policy  8 u64 flags  16 s32 nice  20 u32 priority  24 u64 runtime  32 u64 deadline  40 u64 period</remarks>
[StructLayout(LayoutKind.Explicit, Size = 48)]
internal struct SchedulingAttributes
{
    [FieldOffset(0)] public uint Size;
    [FieldOffset(4)] public uint Policy;

    /// <summary>Nanoseconds of a slice, for SCHED_OTHER: from 0.1 ms.</summary>
    [FieldOffset(24)] public ulong Runtime;
}

internal static partial class Libc
{
    /// <summary>Says how long the calling thread works before threads that have waited get their turn: sched_setattr(2).</summary>
    /// <returns>False where it cannot be said. Kernels before 6.12 take it and do as they always do.</returns>
    internal static bool TrySetSlice(TimeSpan slice)
    {
        (nint get, nint set) = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => (315, 314),
            Architecture.Arm64 => (275, 274),
            _ => (0, 0),
        };
        var attributes = default(SchedulingAttributes);
        if (set == 0 || SchedulingCall(get, 0, ref attributes, Marshal.SizeOf<SchedulingAttributes>(), 0) < 0 || attributes.Policy != 0) return false;
        attributes.Runtime = (ulong)slice.TotalNanoseconds;
        return SchedulingCall(set, 0, ref attributes, 0, 0) == 0;
    }

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static partial nint SchedulingCall(nint number, nint thread, ref SchedulingAttributes attributes, nint sizeOrFlags, nint flags);
}
