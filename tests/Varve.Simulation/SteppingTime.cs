namespace Varve.Simulation;

/// <summary>Time that stands still but for a second whenever somebody measures: key derivation takes no longer than it must.</summary>
internal sealed class SteppingTime : FrozenTime
{
    private long _seconds;

    public override long GetTimestamp() => _seconds++ * TimestampFrequency;
}
