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

    /// <summary>What is on the disk at a power loss, and what the guest may expect of it.</summary>
    private sealed record Moment(CrashDisk Disk, string Top, GuestModel Model, int Boundary);

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
        var model = new GuestModel(scenario.Length);
        Dictionary<string, CrashFile> files = machine.Disk.Files;
        (string top, int nextId) = ("0", 0);
        for (int epoch = 0; epoch < scenario.Epochs; epoch++)
        {
            var disk = new CrashDisk(_random.Next(), scenario.Disk) { Files = files };
            (string? failure, List<Moment> moments, nextId) = await RunEpochAsync(disk, top, model, nextId);
            _boundaries += disk.Boundaries;
            _trace = unchecked((_trace * 31) + disk.Trace);
            if (failure is not null) return End($"epoch {epoch}: {failure}");
            Moment last = moments[^1];
            foreach (Moment moment in moments)
            {
                (string? wrong, GuestModel? settled) = await LookAtAsync(moment);
                if (wrong is not null) return End($"epoch {epoch}, power lost at request {moment.Boundary}: {wrong}");
                if (ReferenceEquals(moment, last)) model = settled!;
            }

            (files, top) = (last.Disk.Files, last.Top);
        }

        return End(null);
    }

    private Outcome End(string? failure) => new(failure, _survivors, _boundaries, _trace);

    /// <summary>Works until done, then loses power; or loses it before.</summary>
    private async Task<(string? Failure, List<Moment> Moments, int NextId)> RunEpochAsync(CrashDisk disk, string top, GuestModel model, int nextId)
    {
        Machine machine;
        try
        {
            machine = await Machine.StartAsync(disk, scenario, top);
        }
        catch (BlockException) when (scenario.Disk.FailuresPerThousand > 0)
        {
            return (null, [new Moment(disk.AfterPowerLoss(_random.Next(), new DiskBehaviour { IsInstant = true }), top, model, 0)], nextId);
        }

        disk.IgnoresFlushes = scenario.Canary == Canary.Links;
        if (scenario.Canary == Canary.Data) disk.IgnoresFlushesOf = Scenario.DataFileOf("");
        var moments = new List<Moment>();
        var power = new Random(_random.Next());
        int spacing = power.Next(1, 60), lossAt = power.Next(20, 4000);
        disk.AtBoundary = () =>
        {
            bool isLost = disk.Boundaries >= lossAt;
            if (isLost || (moments.Count < SurvivorsPerEpoch && power.Next(spacing) == 0)) moments.Add(Capture(machine, model, power.Next()));
            if (isLost) disk.PowerOff();
        };
        var workload = new Workload(machine, model, new Random(_random.Next()), nextId);
        await workload.RunAsync();
        disk.AtBoundary = null;
        if (!disk.IsOff) moments.Add(Capture(machine, model, power.Next()));
        disk.PowerOff();
        await machine.StopAsync();
        return (workload.Failure, moments, workload.NextId);
    }

    private static Moment Capture(Machine machine, GuestModel model, int seed)
        => new(machine.Disk.AfterPowerLoss(seed, new DiskBehaviour { IsInstant = true }), machine.TopFile, model.Clone(), machine.Disk.Boundaries);

    /// <summary>Opens what a power loss left: every image must be consistent, and every byte one that may be there.</summary>
    private async Task<(string? Wrong, GuestModel? Settled)> LookAtAsync(Moment moment)
    {
        _survivors++;
        Machine? machine = null;
        try
        {
            machine = await Machine.StartAsync(moment.Disk, scenario, moment.Top);
            foreach (var image in machine.Chain.ToList())
            {
                if (image.IsDirty == true) continue;     // lazy refcounts, read-only since: repaired before the next write to it
                var messages = new MessageList();
                CheckResult result = await image.CheckAsync(CheckRepair.None, messages, CancellationToken.None);
                if (result.Corruptions + result.CheckErrors > 0) return ($"image {Machine.FileOf(image)}: {messages.FirstError}", null);
            }

            byte[] disk = new byte[moment.Model.Length];
            await machine.Guest.ReadAsync(0, disk);
            string? wrong = moment.Model.CheckSurvivor(disk);
            return (wrong, wrong is null ? moment.Model.Settled(disk) : null);
        }
        catch (BlockException e)
        {
            return ($"cannot be used: {e.Message}", null);
        }
        finally
        {
            if (machine is not null) await machine.StopAsync();
        }
    }

    private sealed class MessageList : IProgress<string>
    {
        public string? FirstError { get; private set; }

        public void Report(string value)
        {
            if (!value.StartsWith("Leaked", StringComparison.Ordinal)) FirstError ??= value;
        }
    }
}
