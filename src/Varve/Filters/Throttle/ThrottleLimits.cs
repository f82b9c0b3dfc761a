namespace Varve.Filters.Throttle;

/// <summary>A rate: on average, and in bursts.</summary>
/// <param name="Average">Units per second; 0: no limit.</param>
/// <param name="Burst">Units per second in bursts; 0: no bursts.</param>
/// <param name="BurstSeconds">How long a burst may last.</param>
internal readonly record struct ThrottleRate(long Average, long Burst = 0, long BurstSeconds = 1);

/// <summary>What a throttle group allows (QMP <c>ThrottleLimits</c>): bytes and requests per second, in total or by direction.</summary>
internal sealed record ThrottleLimits
{
    private const long Most = 1_000_000_000_000_000;

    public ThrottleRate BytesTotal { get; init; } = new(0);
    public ThrottleRate BytesRead { get; init; } = new(0);
    public ThrottleRate BytesWritten { get; init; } = new(0);
    public ThrottleRate RequestsTotal { get; init; } = new(0);
    public ThrottleRate Reads { get; init; } = new(0);
    public ThrottleRate Writes { get; init; } = new(0);

    /// <summary>A request counts as one for each so many bytes; 0: as one.</summary>
    public long RequestSize { get; init; }

    internal IEnumerable<ThrottleRate> All => [BytesTotal, BytesRead, BytesWritten, RequestsTotal, Reads, Writes];

    /// <summary>Refuses limits that contradict each other.</summary>
    /// <exception cref="BlockException">Says which rule is broken.</exception>
    public void Check()
    {
        if (Conflicts(BytesTotal, BytesRead, BytesWritten) || Conflicts(RequestsTotal, Reads, Writes))
        {
            throw Refused("bps/iops/max total values and read/write values cannot be used at the same time");
        }

        if (RequestSize != 0 && RequestsTotal.Average == 0 && Reads.Average == 0 && Writes.Average == 0)
        {
            throw Refused("iops size requires an iops value to be set");
        }

        foreach (ThrottleRate rate in All) Check(rate);
    }

    private static void Check(ThrottleRate rate)
    {
        if (rate.Average is < 0 or > Most || rate.Burst is < 0 or > Most) throw Refused($"bps/iops/max values must be within [0, {Most}]");
        if (rate.BurstSeconds == 0) throw Refused("the burst length cannot be 0");
        if (rate.BurstSeconds > 1 && rate.Burst == 0) throw Refused("burst length set without burst rate");
        if (rate.Burst != 0 && rate.BurstSeconds > Most / rate.Burst) throw Refused("burst length too high for this burst rate");
        if (rate.Burst != 0 && rate.Average == 0) throw Refused("bps_max/iops_max require corresponding bps/iops values");
        if (rate.Burst != 0 && rate.Burst < rate.Average) throw Refused("bps_max/iops_max cannot be lower than bps/iops");
    }

    private static bool Conflicts(ThrottleRate total, ThrottleRate read, ThrottleRate written)
        => (total.Average != 0 && (read.Average != 0 || written.Average != 0)) || (total.Burst != 0 && (read.Burst != 0 || written.Burst != 0));

    private static BlockException Refused(string message) => new(BlockErrorKind.Invalid, message);
}
