namespace Varve.Simulation;

/// <summary>Time that stands still: nothing but the seed decides what happens, and when timers fire.</summary>
internal class FrozenTime : FiredTimers
{
    public override DateTimeOffset GetUtcNow() => DateTimeOffset.UnixEpoch;

    public override long GetTimestamp() => 0;
}
