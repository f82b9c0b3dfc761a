using System.Runtime.InteropServices;

namespace Varve.Cli.Interop;

/// <summary>What the executable needs of the C library to leave its terminal behind.</summary>
internal static partial class Libc
{
    public const short SpawnSetSid = 0x80;   // POSIX_SPAWN_SETSID

    /// <summary>pipe2(2): 0, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "pipe2", SetLastError = true)]
    public static partial int Pipe2(Span<int> ends, int flags);

    /// <summary>dup2(2): the new descriptor, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "dup2", SetLastError = true)]
    public static partial int Dup2(int from, int to);

    /// <summary>read(2): bytes read, 0 at the end, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    public static partial nint Read(int descriptor, Span<byte> buffer, nint count);

    /// <summary>write(2): bytes written, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    public static partial nint Write(int descriptor, ReadOnlySpan<byte> buffer, nint count);

    /// <summary>close(2).</summary>
    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    public static partial int Close(int descriptor);

    /// <summary>open(2): a descriptor, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    public static partial int Open(string path, int flags);

    /// <summary>fcntl(2) with an integer argument: -1 with errno set on failure.</summary>
    [LibraryImport("libc", EntryPoint = "fcntl", SetLastError = true)]
    public static partial int Fcntl(int descriptor, int command, int argument);

    /// <summary>waitpid(2): the child, or -1 with errno set.</summary>
    [LibraryImport("libc", EntryPoint = "waitpid", SetLastError = true)]
    public static partial int WaitPid(int process, out int status, int options);

    [LibraryImport("libc", EntryPoint = "signal")]
    private static partial nint SetSignalHandler(int signal, nint handler);

    [LibraryImport("libc", EntryPoint = "kill")]
    private static partial int Kill(int process, int signal);

    /// <summary>Sends this process a signal, which does what the system does by default.</summary>
    public static void Raise(int signal)
    {
        SetSignalHandler(signal, 0);   // SIG_DFL: the runtime has handlers of its own
        _ = Kill(Environment.ProcessId, signal);
    }

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_init")]
    private static partial int SpawnAttributesInit(Span<byte> attributes);

    [LibraryImport("libc", EntryPoint = "posix_spawnattr_setflags")]
    private static partial int SpawnAttributesSetFlags(Span<byte> attributes, short flags);

    [LibraryImport("libc", EntryPoint = "posix_spawn", StringMarshalling = StringMarshalling.Utf8)]
    private static unsafe partial int Spawn(
        out int process, string path, void* fileActions, Span<byte> attributes, string?[] arguments, string?[] environment);

    /// <summary>Starts a program in a session of its own. It inherits every descriptor that is not close-on-exec.</summary>
    /// <returns>0, or an errno.</returns>
    public static unsafe int SpawnDetached(string path, IEnumerable<string> arguments, IEnumerable<string> environment, out int process)
    {
        Span<byte> attributes = stackalloc byte[512];   // posix_spawnattr_t has 336 bytes on 64-bit glibc, fewer elsewhere
        int error = SpawnAttributesInit(attributes);
        if (error == 0) error = SpawnAttributesSetFlags(attributes, SpawnSetSid);
        process = 0;
        return error != 0 ? error : Spawn(out process, path, null, attributes, [.. arguments, null], [.. environment, null]);
    }
}
