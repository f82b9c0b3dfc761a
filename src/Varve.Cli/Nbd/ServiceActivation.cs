using System.Globalization;
using Varve.Cli.CommandLine;
using Varve.Cli.Daemon;

namespace Varve.Cli.Nbd;

/// <summary>A listening socket passed in by a service manager: sd_listen_fds(3).</summary>
internal static class ServiceActivation
{
    /// <summary>The first descriptor that is passed.</summary>
    private const int First = 3;

    /// <summary>The descriptor of the socket, where there is one for this process.</summary>
    /// <exception cref="ToolException">More than one was passed, or the command line names a place to listen on as well.</exception>
    public static int? Find(NbdArguments arguments)
    {
        // A process that was started again to go into the background stands for the one that the sockets were meant for.
        if (!Detachment.IsChild && Number("LISTEN_PID") != Environment.ProcessId) return null;
        int? count = Number("LISTEN_FDS");
        if (count is null or <= 0) return null;
        if (count > 1) throw new ToolException("qemu-nbd does not support socket activation with LISTEN_FDS > 1");
        if (arguments.SocketPath is not null) throw new ToolException("Unix socket can't be set when using socket activation");
        if (arguments.Address is not null) throw new ToolException("The interface can't be set when using socket activation");
        if (arguments.Port is not null) throw new ToolException("TCP port number can't be set when using socket activation");
        return First;
    }

    /// <summary>What this process starts is not told of the socket.</summary>
    public static void Forget()
    {
        foreach (string name in (string[])["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"]) Environment.SetEnvironmentVariable(name, null);
    }

    private static int? Number(string variable)
        => int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
}
