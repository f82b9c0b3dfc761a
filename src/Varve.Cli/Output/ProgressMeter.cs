using System.Globalization;
using System.Runtime.InteropServices;

namespace Varve.Cli.Output;

/// <summary>Progress as the reference's tools print it: <c>    (12.34/100%)</c>, over and over on one line.</summary>
/// <remarks>Without <c>-p</c> nothing is printed until the process is sent SIGUSR1: each one prints where things stand.</remarks>
internal sealed class ProgressMeter : IDisposable
{
    private const double Step = 1;
    private readonly ToolConsole _console;
    private readonly bool _isShown;
    private readonly PosixSignalRegistration? _signal;
    private readonly Lock _lock = new();
    private long _done;
    private double _shown = double.NegativeInfinity;
    private volatile bool _isAsked;

    /// <summary>Starts at nothing done.</summary>
    /// <param name="console">Where it prints.</param>
    /// <param name="isShown">Whether it prints without being asked.</param>
    public ProgressMeter(ToolConsole console, bool isShown)
    {
        _console = console;
        _isShown = isShown;
        if (!isShown && !OperatingSystem.IsWindows())
        {
            _signal = PosixSignalRegistration.Create((PosixSignal)Sigusr1, context =>
            {
                context.Cancel = true;
                _isAsked = true;
            });
        }
    }

    private const int Sigusr1 = 10;

    /// <summary>How much there is to do.</summary>
    public long Total { get; set; }

    /// <summary>Some of it is done. From any thread.</summary>
    public void Advance(long amount)
    {
        lock (_lock)
        {
            _done += amount;
            Print(Total > 0 ? Math.Min(100.0 * _done / Total, 100) : 100, force: false);
        }
    }

    /// <summary>All of it is done.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            Print(100, force: true);
            if (_isShown) _console.Out.Write('\n');
            _console.Out.Flush();
        }
    }

    public void Dispose() => _signal?.Dispose();

    private void Print(double percent, bool force)
    {
        if (_isShown ? !force && percent < _shown + Step : !_isAsked) return;
        _isAsked = false;
        _shown = percent;
        _console.Out.Write(string.Create(CultureInfo.InvariantCulture, $"    ({percent:0.00}/100%)\r"));
        _console.Out.Flush();
    }
}
