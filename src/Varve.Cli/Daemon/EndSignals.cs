using System.Runtime.InteropServices;

namespace Varve.Cli.Daemon;

/// <summary>SIGTERM, SIGINT and SIGHUP ask a server to end; they do not end it.</summary>
internal sealed class EndSignals : IDisposable
{
    private readonly PosixSignalRegistration[] _registrations;

    public EndSignals(Action requestEnd)
    {
        PosixSignal[] signals = [PosixSignal.SIGTERM, PosixSignal.SIGINT, PosixSignal.SIGHUP];
        _registrations = Array.ConvertAll(signals, s => PosixSignalRegistration.Create(s, signal =>
        {
            signal.Cancel = true;
            requestEnd();
        }));
    }

    public void Dispose()
    {
        foreach (PosixSignalRegistration each in _registrations) each.Dispose();
    }
}
