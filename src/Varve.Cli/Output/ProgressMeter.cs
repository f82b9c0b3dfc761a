using System.Diagnostics;
using System.Globalization;
using Varve.Graph;

namespace Varve.Cli.Output;

/// <summary>Progress of a long command: the reference's <c>    (12.34/100%)</c> on one line, a bar on a terminal, or JSON.</summary>
/// <remarks>Where nothing was asked for, each SIGUSR1 prints where things stand: a line on standard error, as the reference does.</remarks>
internal sealed class ProgressMeter : IDisposable
{
    private const double Step = 1;
    private static readonly TimeSpan s_pace = TimeSpan.FromMilliseconds(200);

    private readonly ToolConsole _console;
    private readonly ProgressStyle _style;
    private readonly ProgressSignal? _signal;
    private readonly Lock _lock = new();
    private readonly long _started = Stopwatch.GetTimestamp();
    private readonly ProgressBar? _bar;
    private BlockGraph? _followed;
    private long _done, _printedAt;
    private double _shown = double.NegativeInfinity;

    /// <summary>Starts at nothing done.</summary>
    /// <param name="console">Where it prints.</param>
    /// <param name="style">How.</param>
    /// <param name="signal">Who asks for a line; null: nobody.</param>
    /// <param name="phase">What is being done, in a word: <c>copy</c>.</param>
    public ProgressMeter(ToolConsole console, ProgressStyle style, ProgressSignal? signal, string phase)
    {
        _console = console;
        _style = style;
        _signal = signal;
        Phase = phase;
        if (style == ProgressStyle.Bar || (style == ProgressStyle.Percent && console.IsTerminal)) _bar = new ProgressBar();
        if (style == ProgressStyle.Percent) Print(0, force: false);
    }

    /// <summary>What is being done.</summary>
    public string Phase { get; }

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

    /// <summary>Shows what a graph tells of its long work, until the end.</summary>
    public void Follow(BlockGraph graph)
    {
        _followed = graph;
        graph.Progressed += Report;
    }

    /// <summary>All of it is done.</summary>
    public void Finish()
    {
        lock (_lock)
        {
            _done = Math.Max(_done, Total);
            Print(100, force: true);
            if (_style is ProgressStyle.Percent or ProgressStyle.Bar) Write("\n");
        }
    }

    public void Dispose()
    {
        if (_followed is not null) _followed.Progressed -= Report;
    }

    private void Set(long done, long total)
    {
        _done = done;
        Print(total > 0 ? Math.Min(100.0 * done / total, 100) : 100, force: false);
    }

    private void Print(double percent, bool force)
    {
        if (_style == ProgressStyle.OnRequest)
        {
            if (_signal?.TakeAsked() == true) _console.WriteError(Percentage(percent) + "\n");
        }
        else if (_style == ProgressStyle.Json)
        {
            if (IsDue(force)) _console.WriteError(JsonLine());
        }
        else if (_bar is not null)
        {
            if (IsDue(force)) Write(_bar.Line(percent, _done, Stopwatch.GetElapsedTime(_started)));
        }
        else if (_style == ProgressStyle.Percent && (force || Math.Abs(percent - _shown) >= Step))
        {
            _shown = percent;
            Write(Percentage(percent) + "\r");
        }
    }

    private static string Percentage(double percent) => string.Create(CultureInfo.InvariantCulture, $"    ({percent:0.00}/100%)");

    /// <summary><c>-p</c> is the reference's, and writes where it does; what is ours keeps out of a command's output.</summary>
    private void Write(string text)
    {
        if (_style == ProgressStyle.Bar)
        {
            _console.WriteError(text);
            return;
        }

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
