using Varve.Graph;

namespace Varve.Simulation;

/// <summary>How a seed ended.</summary>
/// <param name="Failure">What was wrong; null when nothing was.</param>
/// <param name="Survivors">Disks that were looked at after a power loss.</param>
/// <param name="Boundaries">Requests that completed.</param>
/// <param name="Trace">A hash of all requests: equal seeds, equal traces.</param>
internal sealed record Outcome(string? Failure, int Survivors, int Boundaries, ulong Trace);

/// <summary>One seed: epochs of work, each ended by a power loss, with survivors looked at along the way.</summary>
internal sealed class Simulation(Scenario scenario)
{
    private const int SurvivorsPerEpoch = 10;
    private readonly Random _random = new(scenario.Seed ^ 0x5EED);
    private int _survivors, _boundaries;
    private ulong _trace;

    public async Task<Outcome> RunAsync()
    {
        try
        {
            return await RunEpochsAsync();
        }
        catch (Exception e)
        {
            // Whatever escapes an operation that had no reason to fail is a finding like any other.
            return End(e.ToString());
        }
    }

    private async Task<Outcome> RunEpochsAsync()
    {
        Machine machine = await Machine.InstallAsync(scenario);
        await machine.StopAsync();
        var expected = new Expectations(new GuestModel(scenario.Length) { DiscardedIsAnything = scenario.IsEncrypted });
        Dictionary<string, CrashFile> files = machine.Disk.Files;
        (string top, int nextId) = ("0", 0);
        for (int epoch = 0; epoch < scenario.Epochs; epoch++)
        {
            var disk = new CrashDisk(_random.Next(), scenario.Disk) { Files = files };
            (string? failure, List<Moment> moments, nextId) = await RunEpochAsync(disk, top, expected, nextId);
            _boundaries += disk.Boundaries;
            _trace = unchecked((_trace * 31) + disk.Trace);
            if (failure is not null) return End($"epoch {epoch}: {failure}");
            Moment last = moments[^1];
            foreach (Moment moment in moments)
            {
                (string? wrong, Expectations? settled) = await LookAtAsync(moment);
                if (wrong is not null) return End($"epoch {epoch}, power lost at request {moment.Boundary}: {wrong}");
                if (ReferenceEquals(moment, last)) expected = settled!;
            }

            (files, top) = (last.Disk.Files, last.Top);
        }

        return End(null);
    }

    private Outcome End(string? failure) => new(failure, _survivors, _boundaries, _trace);

    /// <summary>Works until done, then closes or loses power; or loses it before.</summary>
    private async Task<(string? Failure, List<Moment> Moments, int NextId)> RunEpochAsync(CrashDisk disk, string top, Expectations expected, int nextId)
    {
        foreach (BitmapModel bitmap in expected.Bitmaps.Where(b => b.File == top)) bitmap.IsClosed = false;
        Machine machine;
        try
        {
            disk.IgnoresFlushes = scenario.Canary == Canary.Bitmaps && expected.Bitmaps.Count > 0;
            machine = await Machine.StartAsync(disk, scenario, top, expected.Keys.Sure[0]);
        }
        catch (BlockException) when (scenario.Disk.FailuresPerThousand > 0)
        {
            return (null, [new Moment(disk.AfterPowerLoss(_random.Next(), new DiskBehaviour { IsInstant = true }), top, expected, 0)], nextId);
        }

        disk.IgnoresFlushes = scenario.Canary == Canary.Links;
        if (scenario.Canary == Canary.Data) disk.IgnoresFlushesOf = Scenario.DataFileOf("");
        var moments = new List<Moment>();
        var power = new Random(_random.Next());
        int spacing = power.Next(1, 60), lossAt = power.Next(20, 4000);
        string lastTop = top;
        disk.AtBoundary = () =>
        {
            bool isLost = disk.Boundaries >= lossAt;
            if (isLost || (moments.Count < SurvivorsPerEpoch && power.Next(spacing) == 0)) moments.Add(Capture(machine, expected, power.Next()));
            if (isLost) disk.PowerOff();
        };
        var workload = new Workload(machine, expected, new Random(_random.Next()), nextId);
        await workload.RunAsync();
        if (scenario.EndsClean && !disk.IsOff && workload.Failure is null)
        {
            lastTop = machine.TopFile;
            disk.AtBoundary = () =>
            {
                if (power.Next(8) == 0) moments.Add(Capture(disk, lastTop, expected, power.Next()));
            };
            if (await machine.StopAsync()) Workload.OnClosed(expected.Bitmaps.Where(b => b.File == lastTop));
            disk.AtBoundary = null;
            moments.Add(Capture(disk, lastTop, expected, power.Next()));
            return (workload.Failure, moments, workload.NextId);
        }

        disk.AtBoundary = null;
        if (!disk.IsOff) moments.Add(Capture(machine, expected, power.Next()));
        disk.PowerOff();
        await machine.StopAsync();
        return (workload.Failure, moments, workload.NextId);
    }

    private static Moment Capture(Machine machine, Expectations expected, int seed) => Capture(machine.Disk, machine.TopFile, expected, seed);

    private static Moment Capture(CrashDisk disk, string top, Expectations expected, int seed)
        => new(disk.AfterPowerLoss(seed, new DiskBehaviour { IsInstant = true }), top, expected.Clone(), disk.Boundaries);

    private async Task<(string? Wrong, Expectations? Settled)> LookAtAsync(Moment moment)
    {
        _survivors++;
        bool isRepaired = scenario.Repairs && _random.Next(4) == 0;
        CrashDisk? copy = isRepaired ? moment.Disk.AfterPowerLoss(0, new DiskBehaviour { IsInstant = true }) : null;
        var survivor = new Survivor(scenario, moment);
        (string? wrong, Expectations? settled) = await survivor.LookAsync();
        if (copy is null || settled is null) return (wrong, settled);
        wrong = await new RepairTrial(scenario, copy, moment.Top, survivor.Key, new Random(_random.Next())).RunAsync(settled);
        return (wrong, settled);
    }
}
