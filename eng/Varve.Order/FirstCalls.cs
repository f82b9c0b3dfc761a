using System.ComponentModel;
using System.Runtime.InteropServices;

namespace Varve.Order;

/// <summary>Runs a program with a breakpoint on each of its functions, which its first call takes away again: ptrace(2).</summary>
internal sealed partial class FirstCalls(SortedList<ulong, string> functions)
{
    private const byte Breakpoint = 0xCC;
    private const int WaitForAll = 0x40000000;                                      // __WALL
    private const int SigStop = 19, SigTrap = 5, SigCont = 18;
    private const int EventExec = 4;                                                // PTRACE_EVENT_EXEC
    private const nint TraceClone = 8, TraceExec = 16;                              // PTRACE_O_TRACECLONE, PTRACE_O_TRACEEXEC
    private const int InstructionPointer = 16, RegisterCount = 27;                  // user_regs_struct of x86-64

    private readonly List<string> _called = [];
    private readonly byte[] _code = new byte[functions.Keys[^1] - functions.Keys[0] + 1];
    private readonly HashSet<ulong> _seen = [];

    private enum Request { Continue = 7, GetRegisters = 12, SetRegisters = 13, Seize = 0x4206 }

    /// <summary>Follows the process until it has ended.</summary>
    /// <returns>What it called.</returns>
    public List<string> Run(int pid)
    {
        while (!IsStopped(pid)) Thread.Sleep(1);
        Trace(Request.Seize, pid, 0, TraceClone | TraceExec);
        if (Kill(pid, SigCont) != 0) throw new Win32Exception();
        while (WaitPid(-1, out int status, WaitForAll) is > 0 and var thread)
        {
            if ((status & 0xFF) != 0x7F) continue;      // a thread that has ended
            int signal = (status >> 8) & 0xFF, happened = status >> 16;
            if (happened == EventExec) SetBreakpoints(pid);
            bool isOurs = happened != 0 || signal is SigStop || (signal == SigTrap && TakeBreakpoint(pid, thread));
            Trace(Request.Continue, thread, 0, isOurs ? 0 : signal, mayBeGone: true);
        }

        return _called;
    }

    private static bool IsStopped(int pid) => File.ReadAllText($"/proc/{pid}/stat").Split(") ")[^1][0] == 'T';

    private void SetBreakpoints(int pid)
    {
        using var memory = OpenMemory(pid);
        long first = (long)functions.Keys[0];
        if (RandomAccess.Read(memory, _code, first) != _code.Length) throw new IOException("the program's code is not where its symbols are");
        byte[] patched = [.. _code];
        foreach (ulong function in functions.Keys) patched[function - functions.Keys[0]] = Breakpoint;
        RandomAccess.Write(memory, patched, first);
    }

    /// <summary>Puts back what the breakpoint replaced, and the thread in front of it; false where there is none.</summary>
    private unsafe bool TakeBreakpoint(int pid, int thread)
    {
        ulong* registers = stackalloc ulong[RegisterCount];
        Trace(Request.GetRegisters, thread, 0, (nint)registers);
        ulong function = registers[InstructionPointer] - 1;
        if (!functions.TryGetValue(function, out string? name)) return false;
        using (var memory = OpenMemory(pid)) RandomAccess.Write(memory, _code.AsSpan((int)(function - functions.Keys[0]), 1), (long)function);
        registers[InstructionPointer] = function;
        Trace(Request.SetRegisters, thread, 0, (nint)registers);
        if (_seen.Add(function)) _called.Add(name);     // another thread may have been on it too
        return true;
    }

    private static Microsoft.Win32.SafeHandles.SafeFileHandle OpenMemory(int pid)
        => File.OpenHandle($"/proc/{pid}/mem", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);

    private static void Trace(Request request, int thread, nint address, nint data, bool mayBeGone = false)
    {
        if (PTrace((int)request, thread, address, data) != 0 && !mayBeGone) throw new Win32Exception();
    }

    [LibraryImport("libc", EntryPoint = "ptrace", SetLastError = true)]
    private static partial nint PTrace(int request, int pid, nint address, nint data);

    [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    private static partial int WaitPid(int pid, out int status, int options);

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    private static partial int Kill(int pid, int signal);
}
