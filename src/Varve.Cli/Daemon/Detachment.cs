using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using Varve.Cli.CommandLine;
using Varve.Cli.Interop;

namespace Varve.Cli.Daemon;

// How --daemonize (and --fork of nbd) works here
//   1. A process with a runtime in it cannot fork. So the parent starts the program again, in a session of its own, with the same
//      arguments and the same descriptors, and with the write end of a pipe named in the environment.
//   2. The child sets everything up with the parent's terminal and working directory, so that errors are seen and relative names
//      mean what they mean to the caller. Then it moves to the root directory, lets the terminal go and writes one byte.
//   3. The parent waits for the byte (success) or for the end of the pipe (the child has failed, and has said why).

/// <summary><c>--daemonize</c>: the daemon goes on in the background once it is set up.</summary>
internal static class Detachment
{
    private const string Variable = "VARVE_DAEMON_STATUS";
    private const int SetDescriptorFlags = 2, CloseOnExec = 1, ReadWrite = 2;

    /// <summary>Whether this process is the one in the background.</summary>
    public static bool IsChild => Environment.GetEnvironmentVariable(Variable) is not null;

    /// <summary>In the parent: starts the child and waits until it is set up.</summary>
    /// <returns>The parent's exit status.</returns>
    public static int RunInBackground()
    {
        Span<int> ends = stackalloc int[2];
        if (Libc.Pipe2(ends, 0) != 0) throw CannotStart(Marshal.GetLastPInvokeError());
        if (Libc.Fcntl(ends[0], SetDescriptorFlags, CloseOnExec) != 0) throw CannotStart(Marshal.GetLastPInvokeError());

        var environment = new List<string> { $"{Variable}={ends[1].ToString(CultureInfo.InvariantCulture)}" };
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables()) environment.Add($"{entry.Key}={entry.Value}");
        int error = Libc.SpawnDetached(Environment.ProcessPath!, Environment.GetCommandLineArgs(), environment, out int child);
        if (error != 0) throw CannotStart(error);
        Libc.Close(ends[1]);

        Span<byte> status = stackalloc byte[1];
        nint count;
        do count = Libc.Read(ends[0], status, 1);
        while (count < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        if (count == 1) return 0;
        return Libc.WaitPid(child, out int exit, 0) == child && (exit & 0x7f) == 0 && exit >> 8 != 0 ? exit >> 8 : 1;
    }

    /// <summary>In the child, at its start: what it starts itself shall not hold the parent's pipe open.</summary>
    public static int TakeStatusPipe()
    {
        int pipe = int.Parse(Environment.GetEnvironmentVariable(Variable)!, NumberStyles.None, CultureInfo.InvariantCulture);
        Environment.SetEnvironmentVariable(Variable, null);
        if (Libc.Fcntl(pipe, SetDescriptorFlags, CloseOnExec) != 0) throw CannotStart(Marshal.GetLastPInvokeError());
        return pipe;
    }

    /// <summary>In the child, once it is set up: lets terminal and working directory go, and tells the parent.</summary>
    /// <param name="statusPipe">From <see cref="TakeStatusPipe"/>.</param>
    /// <param name="keepsErrors">Leave standard error where it is.</param>
    public static void Complete(int statusPipe, bool keepsErrors = false)
    {
        Environment.CurrentDirectory = "/";
        int nothing = Libc.Open("/dev/null", ReadWrite);
        if (nothing < 0) throw CannotStart(Marshal.GetLastPInvokeError());
        for (int stream = 0; stream <= (keepsErrors ? 1 : 2); stream++)
        {
            if (Libc.Dup2(nothing, stream) < 0) throw CannotStart(Marshal.GetLastPInvokeError());
        }

        if (nothing > 2) Libc.Close(nothing);
        if (Libc.Write(statusPipe, [0], 1) != 1) throw CannotStart(Marshal.GetLastPInvokeError());
        Libc.Close(statusPipe);
    }

    private static ToolException CannotStart(int errno) => new($"failed to daemonize: {Errno.Text(errno)}");
}
