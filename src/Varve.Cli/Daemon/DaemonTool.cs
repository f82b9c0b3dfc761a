using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Qmp.Server;

namespace Varve.Cli.Daemon;

// The life of the daemon
//   1. The command line is read twice: once for what ends or detaches the process, so that a slip of the pen is found before anything
//      is opened; once to do it, strictly from left to right, each option before the next is looked at.
//   2. Monitors listen to their clients only then: a command never sees a half-made graph. The daemon waits for quit, for a signal, or for the caller's token.
//   3. It ends in this order: exports are closed and their clients let go, jobs cancelled, nodes closed, monitors flushed and closed,
//      the PID file removed. So clients of a monitor still see the events of the end, and images are closed clean.

/// <summary><c>varve daemon</c>, also called <c>qemu-storage-daemon</c>: serves nodes until it is told to end.</summary>
internal sealed class DaemonTool(ToolConsole console)
{
    internal static readonly OptionTable Options = new(
        "hT:V", ("blockdev:", null), ("chardev:", null), ("daemonize", null), ("export:", null), ("help", "h"), ("monitor:", null),
        ("nbd-server:", null), ("object:", null), ("pidfile:", null), ("trace:", "T"), ("version", "V"));

    private bool _detaches;
    private string? _pidFile;

    /// <summary>Runs a command line until the daemon is told to end.</summary>
    /// <param name="arguments">Without the program's name.</param>
    /// <param name="stop">Ends the daemon as SIGTERM does.</param>
    /// <returns>The process's exit status.</returns>
    public async ValueTask<int> RunAsync(IReadOnlyList<string> arguments, CancellationToken stop = default)
    {
        try
        {
            if (ReadAhead(arguments)) return 0;
            if (_detaches && !Detachment.IsChild) return Detachment.RunInBackground();
            int? statusPipe = _detaches ? Detachment.TakeStatusPipe() : null;
            await ServeAsync(arguments, statusPipe, stop).ConfigureAwait(false);
            return 0;
        }
        catch (ToolException e)
        {
            console.ReportError(e.Message, e.Hint);
            return e.ExitCode;
        }
    }

    /// <summary>The first reading.</summary>
    /// <returns>Whether that was all: help or the version was asked for.</returns>
    private bool ReadAhead(IReadOnlyList<string> arguments)
    {
        var reader = new OptionReader(Options, arguments, OperandOrder.InPlace);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next is OptionEvent.Unknown or OptionEvent.MissingArgument) throw new ToolException(reader.Problem);
            if (next != OptionEvent.Option) continue;
            switch (reader.Key)
            {
                case "h":
                    console.Out.Write(DaemonHelp.Text(console.ProgramName));
                    return true;
                case "V":
                    console.Out.Write(ToolVersion.Lines(console.ProgramName));
                    return true;
                case "daemonize": _detaches = true; break;
                case "pidfile": _pidFile = reader.Argument; break;
            }
        }

        return false;
    }

    private async ValueTask ServeAsync(IReadOnlyList<string> arguments, int? statusPipe, CancellationToken stop)
    {
        var context = new QmpContext(new BlockGraph());
        console.ShowFindings(context.Graph);
        using CancellationTokenRegistration stopped = stop.Register(context.RequestQuit);
        using var signals = new EndSignals(context.RequestQuit);
        PidFile? pidFile = null;
        try
        {
            if (await SetUpAsync(context, arguments, stop).ConfigureAwait(false)) return;
            pidFile = _pidFile is null ? null : PidFile.Create(_pidFile);
            console.Out.Flush();
            if (statusPipe is { } pipe) Detachment.Complete(pipe);
            await context.QuitRequested.ConfigureAwait(false);
        }
        finally
        {
            await context.ShutDownAsync().ConfigureAwait(false);
            await context.DisposeAsync().ConfigureAwait(false);
            pidFile?.Dispose();
        }
    }

    /// <summary>The second reading.</summary>
    /// <returns>Whether the command line asked for information only.</returns>
    private async ValueTask<bool> SetUpAsync(QmpContext context, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var options = new DaemonOptions(context, console);
        var reader = new OptionReader(Options, arguments, OperandOrder.InPlace);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next == OptionEvent.Operand) throw new ToolException($"{reader.Argument}: Unexpected argument");
            try
            {
                if (await options.ApplyAsync(reader, cancellationToken).ConfigureAwait(false)) return true;
            }
            catch (BlockException e)
            {
                throw ToolException.From($"{reader.Text}: ", e);
            }
        }

        if (reader.Operands.Count > 0) throw new ToolException($"{reader.Operands[0]}: Unexpected argument");
        await options.StartMonitorsAsync().ConfigureAwait(false);
        return false;
    }
}
