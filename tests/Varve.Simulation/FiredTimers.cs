namespace Varve.Simulation;

/// <summary>Time whose timers run out when the test says so.</summary>
internal class FiredTimers : TimeProvider
{
    private readonly Lock _lock = new();
    private readonly List<Timer> _timers = [];

    /// <summary>Every timer that repeats fires once, in this thread.</summary>
    public void Fire()
    {
        Timer[] timers;
        lock (_lock) timers = [.. _timers.Where(t => t.Repeats)];
        foreach (Timer timer in timers) timer.Fire();
    }

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(this, callback, state);
        timer.Change(dueTime, period);
        lock (_lock) _timers.Add(timer);
        return timer;
    }

    private sealed class Timer(FiredTimers owner, TimerCallback callback, object? state) : ITimer
    {
        public bool Repeats { get; private set; }

        public void Fire() => callback(state);

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            Repeats = period > TimeSpan.Zero;
            return true;
        }

        public void Dispose()
        {
            lock (owner._lock) owner._timers.Remove(this);
        }

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}
