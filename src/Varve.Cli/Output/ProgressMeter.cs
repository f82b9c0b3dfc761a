using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace Varve.Cli.Output;

/// <summary>Progress of a long command: the reference's <c>    (12.34/100%)</c> on one line, a bar on a terminal, or JSON.</summary>
/// <remarks>Without <c>-p</c> nothing is printed until the process is sent SIGUSR1: each one prints where things stand.</remarks>
internal sealed class ProgressMeter : IDisposable
{
    private const double Step = 1;
    private const int Sigusr1 = 10;
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(200);

    private readonly ToolConsole _console;
    private readonly ProgressStyle _style;
    private readonly PosixSignalRegistration? _signal;
    private readonly Lock _lock = new();
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly ProgressBar? _bar;
    private long _done, _printedAt;
    private double _shown = double.NegativeInfinity;
    private volatile bool _isAsked;

    /// <summary>Starts at nothing done.</summary>
    /// <param name="console">Where it prints.</param>
    /// <param name="style">How.</param>
    /// <param name="phase">What is being done, in a word: <c>copy</c>.</param>
    public ProgressMeter(ToolConsole console, ProgressStyle style, string phase)
    {
        _console = console;
        _style = style;
        Phase = phase;
        if (style == ProgressStyle.Percent && console.IsTerminal) _bar = new ProgressBar();
        if (style == ProgressStyle.OnRequest && !OperatingSystem.IsWindows())
        {
            _signal = PosixSignalRegistration.Create((PosixSignal)Sigusr1, context =>
            {
                context.Cancel = true;
                _isAsked = true;
            });
        }

        if (style == ProgressStyle.Percent) Print(0, force: false);
    }

    /// <summary>What is being done.</summary>
    public string Phase { get; set; }

    /// <summary>How much there is to do, in bytes.</summary>
    public long Total { get; set; }

    /// <summary>Some of it is done. From any thread.</summary>
    public void Advance(long amount)
    {
        lock (_lock) Set(_done + amount, Total);
    }

    /// <summary>So much of so much is done; both may have changed, and what is done may have become less. From any thread.</summary>
    public void Report(long done, long total)
    {
        lock (_lock) Set(done, Total = total);
    }

    /// <summary>All of it is done.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            _done = Math.Max(_done, Total);
            Print(100, force: true);
            if (_style == ProgressStyle.Percent) _console.Out.Write('\n');
            _console.Out.Flush();
        }
    }

    public void Dispose() => _signal?.Dispose();

    private void Set(long done, long total)
    {
        _done = done;
        Print(total > 0 ? Math.Min(100.0 * done / total, 100) : 100, force: false);
    }

    private void Print(double percent, bool force)
    {
        switch (_style)
        {
            case ProgressStyle.Json:
                if (IsDue(force)) _console.WriteError(JsonLine());
                return;
            case ProgressStyle.Percent when _bar is not null:
                if (IsDue(force)) Write(_bar.Line(percent, _done, Stopwatch.GetElapsedTime(_started)));
                return;
            case ProgressStyle.Percent when !force && Math.Abs(percent - _shown) < Step:
            case ProgressStyle.OnRequest when !_isAsked:
                return;
        }

        _isAsked = false;
        _shown = percent;
        Write(string.Create(CultureInfo.InvariantCulture, $"    ({percent:0.00}/100%)\r"));
    }

    private void Write(string text)
    {
        _console.Out.Write(text);
        _console.Out.Flush();
    }

    /// <summary>Whether enough time has passed since the last line: neither a terminal nor a log wants thousands.</summary>
    private bool IsDue(bool force)
    {
        long now = Stopwatch.GetTimestamp();
        if (!force && _printedAt != 0 && Stopwatch.GetElapsedTime(_printedAt, now) < s_pace) return false;
        _printedAt = now;
        return true;
    }

    private string JsonLine()
    {
        double seconds = Stopwatch.GetElapsedTime(_started).TotalSeconds;
        long rate = seconds > 0 ? (long)(_done / seconds) : 0;
        return string.Create(
            CultureInfo.InvariantCulture, $"{{\"bytes\": {_done}, \"total\": {Math.Max(Total, _done)}, \"rate\": {rate}, \"phase\": \"{Phase}\"}}\n");
    }
}
