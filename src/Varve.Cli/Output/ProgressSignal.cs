using System.Runtime.InteropServices;

namespace Varve.Cli.Output;

/// <summary>SIGUSR1 asks how far a command is. One that has nothing to tell goes on undisturbed, as the reference does.</summary>
internal sealed class ProgressSignal : IDisposable
{
    private const int Sigusr1 = 10;

    private readonly PosixSignalRegistration? _registration;
    private int _isAsked;

    public ProgressSignal()
    {
        if (OperatingSystem.IsWindows()) return;
        _registration = PosixSignalRegistration.Create((PosixSignal)Sigusr1, context =>
        {
            context.Cancel = true;
            Volatile.Write(ref _isAsked, 1);
        });
    }

    /// <summary>Whether somebody has asked since the last time.</summary>
    public bool TakeAsked() => Volatile.Read(ref _isAsked) != 0 && Interlocked.Exchange(ref _isAsked, 0) != 0;

    public void Dispose() => _registration?.Dispose();
}
