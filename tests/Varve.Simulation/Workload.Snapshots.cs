using Varve.Graph;

namespace Varve.Simulation;

/// <content>Internal snapshots of the top.</content>
internal sealed partial class Workload
{
    private const int MaxSnapshots = 4;

    private ValueTask ManageSnapshotsAsync()
    {
        List<SnapshotModel> present = [.. expected.Snapshots.Where(s => s.File == machine.TopFile && InternalSnapshots.FindByName(machine.Top, s.Name) is not null)];
        int choice = random.Next(4);
        if (present.Count == 0 || (choice < 2 && present.Count < MaxSnapshots)) return TakeAsync();
        SnapshotModel snapshot = present[random.Next(present.Count)];
        return choice == 3 ? PausedAsync(() => ApplyAsync(snapshot)) : DeleteAsync(snapshot);
    }

    private async ValueTask TakeAsync()
    {
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        using DrainedSection drained = await BlockGraph.DrainAsync(machine.Top);
        byte[] content = new byte[model.Length];
        await machine.Top.ReadAsync(0, content, default);
        if (machine.Disk.IsOff) return;
        string name = $"s{++_nextId}";
        expected.Snapshots.Add(new SnapshotModel(machine.TopFile, name, content, IsSure: false, expected.HasTail));
        try
        {
            await LyingAsync(async () => await InternalSnapshots.CreateAsync(machine.Top, new InternalSnapshot { Name = name }));
            if (!machine.Disk.IsOff) expected.SetSure(name, true);
        }
        catch (BlockException) when (IsHonest)
        {
            // Refcounts of few bits have no room for another owner: nothing of it is left.
            expected.Snapshots.RemoveAll(s => s.Name == name);
        }
    }

    private async ValueTask DeleteAsync(SnapshotModel snapshot)
    {
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        expected.SetSure(snapshot.Name, false);
        await LyingAsync(() => InternalSnapshots.DeleteAsync(machine.Top, id: null, snapshot.Name));
        if (!machine.Disk.IsOff) expected.Snapshots.RemoveAll(s => s.Name == snapshot.Name);
    }

    /// <summary>Goes back to a snapshot, while the guest stands still.</summary>
    private async ValueTask ApplyAsync(SnapshotModel snapshot)
    {
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        if (machine.Disk.IsOff || machine.Top.Bitmaps.Any) return;      // refused
        bool hasTail = snapshot.HasTail;
        expected.HasTail |= hasTail;
        model.BeginReplace(snapshot.Content);
        try
        {
            await LyingAsync(() => InternalSnapshots.ApplyAsync(machine.Top, snapshot.Name));
            if (machine.Disk.IsOff) return;
            model.EndReplace(snapshot.Content, happened: true);
            expected.HasTail = hasTail;
        }
        catch (BlockException)
        {
            await FindOutAsync(snapshot.Content);
            if (!IsHonest) throw;       // else refused, as refcounts of few bits have no room for another owner
        }
    }

    /// <summary>After a failure the disk is the old one or the new one, as a whole: which, a read tells.</summary>
    private async ValueTask FindOutAsync(byte[] content)
    {
        byte[] found = new byte[model.Length];
        for (int i = 0; i < 100 && !machine.Disk.IsOff; i++)
        {
            try
            {
                await machine.Top.ReadAsync(0, found, default);
                bool isNew = found.AsSpan().SequenceEqual(content);
                if (!isNew) Failure ??= model.CheckSurvivor(found) is { } what ? "applying: " + what : null;
                model.EndReplace(content, isNew);
                return;
            }
            catch (BlockException)
            {
                // This disk fails now and then.
            }
        }

        machine.Disk.PowerOff();
    }

    private bool IsHonest => !machine.Disk.IsOff && machine.Disk.Behaviour.FailuresPerThousand == 0;

    private async ValueTask LyingAsync(Func<ValueTask> action)
    {
        machine.Disk.IgnoresFlushes = machine.Scenario.Canary is Canary.Snapshots or Canary.Keys;
        try
        {
            await action();
        }
        finally
        {
            machine.Disk.IgnoresFlushes = false;
        }
    }
}
