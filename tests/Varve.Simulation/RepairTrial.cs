using System.Buffers.Binary;
using Varve.Formats.Qcow2;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Simulation;

// Power lost in the middle of a repair: what is promised
//   1. An image that had leaks at most has leaks at most. One that said "not closed cleanly" says so until it is clean.
//   2. A second repair ends with nothing wrong, and nothing leaked.
//   3. The guest's disk, snapshots, bitmaps and passphrases are what they were.

/// <summary>Repairs a survivor's top image, sometimes damaged before, and loses power in the middle.</summary>
internal sealed class RepairTrial(Scenario scenario, CrashDisk disk, string top, string key, Random random)
{
    private const int MostSurvivors = 3;
    private bool _isDamaged;

    /// <summary>Runs the repair on a copy of the disk.</summary>
    /// <param name="expected">What the disk was found to hold.</param>
    /// <returns>What is wrong; null when nothing is.</returns>
    public async Task<string?> RunAsync(Expectations expected)
    {
        CrashDisk copy = disk.AfterPowerLoss(random.Next(), new DiskBehaviour());
        _isDamaged = scenario.Canary == Canary.None && random.Next(2) == 0;
        if (_isDamaged) Damage(copy.Files[top]);
        foreach (CrashDisk survivor in await InterruptAsync(copy))
        {
            if (await LookAsync(survivor, expected) is { } wrong) return $"repair{(_isDamaged ? " of a damaged image" : "")}: {wrong}";
        }

        return null;
    }

    /// <summary>The disk as power losses during the repair, and one after it, leave it.</summary>
    private async Task<List<CrashDisk>> InterruptAsync(CrashDisk copy)
    {
        var survivors = new List<CrashDisk>();
        (Machine machine, Qcow2Image image) = await Machine.OpenForCheckAsync(copy, scenario, top, key, readOnly: false);
        bool wasDirty = image.IsDirty == true;
        CheckRepair repair = _isDamaged || wasDirty || random.Next(2) == 0 ? CheckRepair.All : CheckRepair.Leaks;
        int spacing = random.Next(1, 8);
        copy.AtBoundary = () =>
        {
            if (survivors.Count < MostSurvivors && random.Next(spacing) == 0) survivors.Add(copy.AfterPowerLoss(random.Next(), new DiskBehaviour { IsInstant = true }));
        };
        copy.IgnoresFlushes = scenario.Canary == Canary.Repair;
        await image.CheckAsync(repair, messages: null, CancellationToken.None);
        copy.AtBoundary = null;
        survivors.Add(copy.AfterPowerLoss(random.Next(), new DiskBehaviour { IsInstant = true }));
        copy.PowerOff();
        await machine.StopAsync();
        return survivors;
    }

    private async Task<string?> LookAsync(CrashDisk survivor, Expectations expected)
    {
        if (!_isDamaged && await FindErrorAsync(survivor) is { } early) return early;
        (Machine machine, Qcow2Image image) = await Machine.OpenForCheckAsync(survivor, scenario, top, key, readOnly: false);
        CheckResult second = await image.CheckAsync(CheckRepair.All, messages: null, CancellationToken.None);
        if (second.Corruptions + second.CheckErrors > 0) return $"a second one leaves {second.Corruptions} errors, and could not check {second.CheckErrors}";
        CheckResult last = await image.CheckAsync(CheckRepair.None, messages: null, CancellationToken.None);
        if (last.Corruptions + last.CheckErrors + last.Leaks > 0) return $"after a second one {last.Corruptions} errors and {last.Leaks} leaks are left";
        using (await machine.Graph.ControlLock.EnterAsync()) await machine.Graph.ReleaseAsync(image);
        await machine.StopAsync();
        (string? wrong, _) = await new Survivor(scenario, new Moment(survivor, top, expected, 0)).LookAsync();
        return wrong;
    }

    private async Task<string?> FindErrorAsync(CrashDisk survivor)
    {
        (Machine machine, Qcow2Image image) = await Machine.OpenForCheckAsync(survivor, scenario, top, key, readOnly: true);
        string? wrong = image.IsDirty == true ? null : await Survivor.FindErrorAsync(image);
        using (await machine.Graph.ControlLock.EnterAsync()) await machine.Graph.ReleaseAsync(image);
        await machine.StopAsync();
        return wrong;
    }

    /// <summary>Makes refcounts, places of refcount blocks and flags wrong: everything that a check puts right from what tables say.</summary>
    private void Damage(CrashFile file)
    {
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        Qcow2Header.TryRead(bytes, out Qcow2Header header)?.Throw(top);
        int table = (int)header.RefcountTable.Value, entry = table;
        int block = (int)BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(entry));
        switch (random.Next(3))
        {
            case 0:
                file.Damage(entry, new byte[8]);
                break;
            case 1:
                byte[] counts = new byte[random.Next(1, 17)];
                if (random.Next(2) == 0) random.NextBytes(counts);
                file.Damage(block + random.Next(Math.Min(header.ClusterSize, bytes.Length - block) - counts.Length), counts);
                break;
            default:
                int first = (int)header.L1Table.Value;
                if (header.L1Size > 0 && bytes[first..(first + 8)].AsSpan().IndexOfAnyExcept((byte)0) >= 0) file.Damage(first, [(byte)(bytes[first] ^ 0x80)]);
                break;
        }
    }
}
