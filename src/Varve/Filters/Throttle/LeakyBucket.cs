namespace Varve.Filters.Throttle;

/// <summary>One rate at work: requests fill it, time empties it, and who comes when it is too full waits.</summary>
/// <remarks>Without bursts it holds a tenth of a second of the rate; with bursts what the burst lasts, and a second bucket limits
/// the rate within the burst.</remarks>
internal struct LeakyBucket(ThrottleRate rate)
{
    private double _level, _burstLevel;

    /// <summary>So much time has passed.</summary>
    public void Leak(double seconds)
    {
        _level = Math.Max(0, _level - (rate.Average * seconds));
        _burstLevel = Math.Max(0, _burstLevel - (rate.Burst * seconds));
    }

    /// <summary>A request passed.</summary>
    public void Fill(double units)
    {
        if (rate.Average == 0) return;
        _level += units;
        if (rate.BurstSeconds > 1) _burstLevel += units;
    }

    /// <summary>Seconds until the next request may pass.</summary>
    public readonly double Wait
    {
        get
        {
            if (rate.Average == 0) return 0;
            double size = rate.Burst == 0 ? rate.Average / 10.0 : (double)rate.Burst * rate.BurstSeconds;
            double wait = Math.Max(0, (_level - size) / rate.Average);
            return rate.BurstSeconds > 1 ? Math.Max(wait, (_burstLevel - (rate.Burst / 10.0)) / rate.Burst) : wait;
        }
    }
}
