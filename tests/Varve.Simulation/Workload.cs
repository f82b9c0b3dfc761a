using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Jobs;

namespace Varve.Simulation;

/// <summary>A guest that writes, zeroes, discards, reads and flushes from several threads of control, while snapshots and streams
/// change the chain below it.</summary>
internal sealed partial class Workload(Machine machine, Expectations expected, Random random, int firstId)
{
    private readonly GuestModel model = expected.Guest;
    private int _operating;
    private TaskCompletionSource? _pause;
    private int _nextId = firstId;
    private int _operationsLeft = machine.Scenario.Operations;
    private int _nextFile = machine.Disk.Files.Keys.Max(f => int.Parse(Scenario.ImageOf(f))) + 1;

    /// <summary>What a read returned that it must not; null when all is well.</summary>
    public string? Failure { get; private set; }

    public int NextId => _nextId;

    /// <summary>Runs until every operation is done, or the power is off.</summary>
    public async Task RunAsync()
    {
        IEnumerable<Task> workers = Enumerable.Range(0, machine.Scenario.Workers).Select(_ => Task.Run(WorkAsync));
        if (machine.Scenario.ChangesChain) workers = workers.Append(Task.Run(ManageAsync));
        await Task.WhenAll(workers);
        await ManageStoppedAsync();
    }

    /// <summary>What management does when the guest has stopped.</summary>
    private async Task ManageStoppedAsync()
    {
        for (int i = 0; i < 3 && Failure is null && !machine.Disk.IsOff; i++)
        {
            await TryAsync(() => machine.Scenario.TakesSnapshots ? ManageSnapshotsAsync() : default);
            await TryAsync(() => machine.Scenario.KeepsBitmaps ? ManageBitmapsAsync() : default);
            await TryAsync(() => machine.Scenario.Amends ? AmendAsync() : default);
            await TryAsync(() => machine.Scenario.IsEncrypted ? ChangeKeysAsync() : default);
        }
    }

    /// <summary>Does something that a disk which fails, or has no power, may refuse.</summary>
    private async ValueTask TryAsync(Func<ValueTask> action)
    {
        try
        {
            await action();
        }
        catch (BlockException) when (machine.Disk.IsOff || machine.Disk.Behaviour.FailuresPerThousand > 0)
        {
            // Refused or undone: the guest goes on as before, and the model knows what is open.
        }
    }

    /// <summary>Changes the top's options: refcount width, version, lazy refcounts; what cannot be is refused.</summary>
    private async ValueTask AmendAsync()
    {
        var options = random.Next(3) switch
        {
            0 => new JsonObject { ["refcount_bits"] = $"{1 << random.Next(7)}" },
            1 => new JsonObject { ["compat"] = random.Next(2) == 0 ? "0.10" : "1.1" },
            _ => new JsonObject { ["lazy_refcounts"] = random.Next(2) == 0 ? "on" : "off" },
        };
        try
        {
            await machine.Top.AmendAsync(new AmendRequest(options), default);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Invalid)
        {
            // Refused: the guest's data is as it was.
        }
    }

    private bool MayContinue => Failure is null && _operationsLeft > 0 && !machine.Disk.IsOff;

    private async Task WorkAsync()
    {
        while (MayContinue)
        {
            if (_pause is { } pause) await pause.Task;
            if (random.Next(8) == 0) machine.Time.Fire();      // cache-clean-interval
            _operationsLeft--;
            _operating++;
            try
            {
                await TryAsync(OperateAsync);
            }
            finally
            {
                _operating--;
            }

            await Task.Yield();
        }
    }

    /// <summary>Runs something while the guest stands still, as a machine does that goes back to a snapshot.</summary>
    private async ValueTask PausedAsync(Func<ValueTask> action)
    {
        _pause = new TaskCompletionSource();
        try
        {
            while (_operating > 0) await Task.Yield();
            await action();
        }
        finally
        {
            TaskCompletionSource pause = _pause;
            _pause = null;
            pause.SetResult();
        }
    }

    private async ValueTask OperateAsync()
    {
        long sectors = model.Length / GuestModel.SectorBytes;
        long first = random.NextInt64(sectors);
        long count = Math.Min(random.Next(4) == 0 ? random.NextInt64(1, sectors + 1) : random.Next(1, 9), sectors - first);
        (long offset, long length) = (first * GuestModel.SectorBytes, count * GuestModel.SectorBytes);
        switch (random.Next(20))
        {
            case < 2:
                await WriteCompressedAsync(offset, length);
                break;
            case < 9:
                await WriteAsync(offset, length, random.Next(8) == 0 ? WriteFlags.Fua : WriteFlags.None);
                break;
            case < 12:
                await ChangeAsync(
                    offset, length, id: 0, isDiscard: false, isDurable: false,
                    () => machine.Guest.WriteZeroesAsync(offset, length, random.Next(2) == 0 ? ZeroFlags.MayUnmap : ZeroFlags.None));
                break;
            case < 14:
                await ChangeAsync(offset, length, id: 0, isDiscard: true, isDurable: false, () => machine.Guest.DiscardAsync(offset, length));
                break;
            case < 17:
                await ReadAsync(offset, length);
                break;
            default:
                await FlushAsync();
                break;
        }
    }

    private async ValueTask WriteAsync(long offset, long length, WriteFlags flags)
    {
        int id = ++_nextId;
        byte[] data = new byte[length];
        GuestModel.Fill(data, offset, id);
        await ChangeAsync(offset, length, id, isDiscard: false, (flags & WriteFlags.Fua) != 0 && machine.Scenario.ReliesOnFlushes, () => machine.Guest.WriteAsync(offset, data, flags));
    }

    /// <summary>Compresses the clusters that lie in the range; where some are allocated the write fails, and others may be written.</summary>
    private async ValueTask WriteCompressedAsync(long offset, long length)
    {
        if (machine.Scenario.HasDataFile || machine.Scenario.IsEncrypted) return;      // never compressed
        int cluster = machine.Top.ClusterSize;
        long start = Align.Down(offset, cluster), end = Math.Min(Align.Up(offset + length, cluster), model.Length);
        try
        {
            await WriteAsync(start, end - start, WriteFlags.Compressed);
        }
        catch (BlockException e) when (e.Errno == Errno.EIO || (e.Errno == Errno.EINVAL && !Align.Is(end - start, cluster)))
        {
            // The model knows that it is open what was written. A ragged end is refused when a resize has moved the end of the disk.
        }
    }

    private async ValueTask ChangeAsync(long offset, long length, int id, bool isDiscard, bool isDurable, Func<ValueTask> change)
    {
        if (!model.TryBegin(offset, length, id, isDiscard)) return;
        Action recorded = RecordWrite(offset, length, id);
        bool succeeded = false;
        try
        {
            await change();
            succeeded = true;
        }
        finally
        {
            if (succeeded) recorded();
            // A write whose answer never came, because the power went, is still open.
            model.End(offset, length, succeeded && !machine.Disk.IsOff, isDurable);
        }
    }

    private async ValueTask ReadAsync(long offset, long length)
    {
        byte[] buffer = new byte[length];
        long[] oldest = model.BeginRead(offset, length);
        try
        {
            await machine.Guest.ReadAsync(offset, buffer);
            if (!machine.Disk.IsOff) Failure ??= model.CheckRead(offset, buffer, oldest);
        }
        finally
        {
            model.EndRead();
        }
    }

    private async ValueTask FlushAsync()
    {
        long[] oldest = model.BeginFlush();
        await machine.Guest.FlushAsync();
        if (!machine.Disk.IsOff && machine.Scenario.ReliesOnFlushes) model.EndFlush(oldest);
    }

    // ---- The chain changes under the guest

    private async Task ManageAsync()
    {
        while (MayContinue)
        {
            int wait = random.Next(60);
            while (wait-- > 0 && MayContinue) await Task.Yield();
            if (!MayContinue) return;
            await TryAsync(ManageOnceAsync);
        }
    }

    private ValueTask ManageOnceAsync()
    {
        int depth = machine.Chain.Count();
        if (machine.Scenario.TakesSnapshots && (machine.Scenario.Canary == Canary.Snapshots || random.Next(2) == 0)) return ManageSnapshotsAsync();
        if (machine.Scenario.KeepsBitmaps && random.Next(2) == 0) return ManageBitmapsAsync();
        if (machine.Scenario.Canary == Canary.Resize || machine.Scenario.IsEncrypted || random.Next(3) == 0) return ResizeAsync();
        if (depth < 2 || (depth < 5 && random.Next(2) == 0)) return SnapshotAsync();

        // A snapshot inside the top shows what is below it, and a stream takes that away.
        return machine.Top.InternalSnapshots.Count > 0 ? ResizeAsync() : StreamAsync();
    }

    private async ValueTask SnapshotAsync()
    {
        string file = $"{_nextFile++}";
        await machine.CreateAsync(file, backing: machine.TopFile);
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        BlockNode overlay = await machine.Graph.OpenNodeAsync(
            machine.Scenario.OpenOptions(file, withBacking: false, KeyModel.First), new OpenContext { References = ReferencePolicy.Everything });
        List<BitmapModel> bitmaps = BitmapsOfTop;
        bitmaps.ForEach(b => b.Turn());
        try
        {
            await machine.Graph.SnapshotAsync(machine.Top, overlay);
            if (!machine.Disk.IsOff) OnClosed(bitmaps);
            expected.HasTail = false;
        }
        finally
        {
            await machine.Graph.ReleaseAsync(overlay);
        }
    }

    /// <summary>Streams into the top from a random part of the chain; what is no longer referred to is deleted, for good, at once.</summary>
    private async ValueTask StreamAsync()
    {
        List<Qcow2Image> chain = [.. machine.Chain];
        int below = random.Next(1, chain.Count + 1);
        Qcow2Image? stays = below < chain.Count && below > 1 ? chain[below] : null;
        machine.Disk.IgnoresFlushes = machine.Scenario.Canary == Canary.Header;
        BlockJob job;
        using (await machine.Graph.ControlLock.EnterAsync())
        {
            job = await machine.Jobs.StartStreamAsync(new StreamOptions(chain[0].NodeName)
            {
                JobId = "stream",
                BaseNode = stays?.NodeName,
                BackingFile = stays is null ? null : "crash:" + Machine.FileOf(stays),
            });
        }

        await job.Completion;
        machine.Disk.IgnoresFlushes = false;
        using (await machine.Graph.ControlLock.EnterAsync())
        {
            if (machine.Disk.IsOff || job.Error is not null) return;
            List<string> needed = [.. machine.Chain.Select(Machine.FileOf)];
            expected.Keep(needed);
            foreach (string file in machine.Disk.Files.Keys.Where(f => !needed.Contains(Scenario.ImageOf(f))).ToList()) machine.Disk.Files.Remove(file);
        }
    }
}
