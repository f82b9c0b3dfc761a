using Varve.Bitmaps;
using Varve.Crypto;
using Varve.Formats.Qcow2;
using Varve.Graph;

namespace Varve.Simulation;

/// <summary>What is on the disk at a power loss, and what may be expected of it.</summary>
internal sealed record Moment(CrashDisk Disk, string Top, Expectations Expected, int Boundary);

/// <summary>Looks at what a power loss left: every image must be consistent, and everything on it something that may be there.</summary>
internal sealed class Survivor(Scenario scenario, Moment moment)
{
    private readonly List<string> _wrong = [];
    private readonly HashSet<string> _snapshots = new(StringComparer.Ordinal);
    private readonly Dictionary<string, bool> _bitmaps = new(StringComparer.Ordinal);
    private List<string> _files = [];
    private readonly List<string> _keys = [];

    /// <summary>A passphrase that opens the images.</summary>
    public string Key => _keys.Count > 0 ? _keys[0] : KeyModel.First;

    /// <summary>What the guest finds.</summary>
    public byte[] Content { get; } = new byte[moment.Expected.Guest.Length];

    /// <summary>Opens the chain for writing, and looks at everything.</summary>
    /// <returns>What is wrong, or null and what is expected of the disk from now on.</returns>
    public async Task<(string? Wrong, Expectations? Settled)> LookAsync()
    {
        Machine? machine = null;
        try
        {
            if (scenario.IsEncrypted) await TryKeysAsync();
            machine = await Machine.StartAsync(moment.Disk, scenario, moment.Top, Key);
            _files = [.. machine.Chain.Select(Machine.FileOf)];
            foreach (Qcow2Image image in machine.Chain.ToList()) await CheckAsync(image);
            await machine.Guest.ReadAsync(0, Content);
            Report(moment.Expected.Guest.CheckSurvivor(Content));
            await LookAtTailAsync(machine);
            await LookAtSnapshotsAsync(machine);
            LookAtBitmaps(machine);
        }
        catch (BlockException e)
        {
            Report($"cannot be used: {e.Message}");
        }
        finally
        {
            if (machine is not null) await machine.StopAsync();
        }

        return _wrong.Count > 0 ? (string.Join("; ", _wrong), null) : (null, moment.Expected.Settled(Content, _snapshots, _bitmaps, _keys));
    }

    /// <summary>What a check finds wrong, leaks left out; null when nothing is.</summary>
    public static async ValueTask<string?> FindErrorAsync(Qcow2Image image)
    {
        var messages = new ErrorList();
        CheckResult result = await image.CheckAsync(CheckRepair.None, messages, CancellationToken.None);
        if (result.Corruptions + result.CheckErrors == 0) return null;

        // Version 2 has no bit that says "not closed cleanly": a power loss while a snapshot comes or goes may leave flags and refcounts
        // that differ, never data that is not safe.
        bool isExcused = image.Header.Version < 3 && result.CheckErrors == 0 && messages.Errors.TrueForAll(m => m.Contains("OFLAG_COPIED", StringComparison.Ordinal));
        return isExcused ? null : $"image {Machine.FileOf(image)}: {messages.Errors.FirstOrDefault()}";
    }

    private void Report(string? wrong)
    {
        if (wrong is not null) _wrong.Add(wrong);
    }

    private async ValueTask CheckAsync(Qcow2Image image)
    {
        if (image.IsDirty == true) return;     // lazy refcounts, read-only since: repaired before the next write to it
        Report(await FindErrorAsync(image));
    }

    private async ValueTask LookAtTailAsync(Machine machine)
    {
        long length = machine.Top.Length - moment.Expected.Guest.Length;
        if (length < 0) Report($"the disk has {machine.Top.Length} bytes");
        if (length <= 0 || moment.Expected.HasTail) return;
        byte[] tail = new byte[length];
        await machine.Guest.ReadAsync(moment.Expected.Guest.Length, tail);
        if (tail.AsSpan().IndexOfAnyExcept((byte)0) is var at and >= 0) Report($"resize: byte {at} behind the old end of the disk is not zero");
    }

    private async ValueTask LookAtSnapshotsAsync(Machine machine)
    {
        foreach (Qcow2Image image in machine.Chain.ToList())
        {
            foreach (InternalSnapshot snapshot in image.InternalSnapshots)
            {
                SnapshotModel? model = moment.Expected.Snapshots.Find(s => s.Name == snapshot.Name && s.File == Machine.FileOf(image));
                if (model is null) Report($"snapshot {snapshot.Name} is there, and should not");
                else if (_snapshots.Add(model.Name)) await LookAtSnapshotAsync(machine, model);
                else Report($"snapshot {snapshot.Name} is there twice");
            }
        }

        foreach (SnapshotModel lost in moment.Expected.Snapshots.Where(s => s.IsSure && _files.Contains(s.File) && !_snapshots.Contains(s.Name))) Report($"snapshot {lost.Name} is lost");
    }

    private async ValueTask LookAtSnapshotAsync(Machine machine, SnapshotModel model)
    {
        var options = scenario.OpenOptions(model.File, withBacking: true, Key);
        options["read-only"] = true;
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        BlockNode node = await machine.OpenAsync(options);
        try
        {
            await InternalSnapshots.LoadAsync(node, SnapshotSelector.Parse(model.Name));
            byte[] content = new byte[model.Content.Length];
            await node.ReadAsync(0, content, CancellationToken.None);
            int same = content.AsSpan().CommonPrefixLength(model.Content);
            if (same < content.Length) Report($"snapshot {model.Name} reads differently from byte {same} on");
        }
        catch (BlockException e)
        {
            Report($"snapshot {model.Name} cannot be read: {e.Message}");
        }
        finally
        {
            await machine.Graph.ReleaseAsync(node);
        }
    }

    private void LookAtBitmaps(Machine machine)
    {
        foreach (Qcow2Image image in machine.Chain)
        {
            foreach (DirtyBitmap bitmap in image.Bitmaps.Named)
            {
                BitmapModel? model = moment.Expected.Bitmaps.Find(b => b.Name == bitmap.Name && b.File == Machine.FileOf(image));
                if (model is null)
                {
                    Report($"bitmap {bitmap.Name} is there, and should not");
                    continue;
                }

                _bitmaps[model.Name] = bitmap.IsInconsistent;
                if (bitmap.IsInconsistent && model.IsClosed) Report($"bitmap {model.Name} was stored, and is inconsistent");
                if (bitmap.IsInconsistent) continue;
                if (model.IsInconsistent) Report($"bitmap {model.Name} was inconsistent, and is not any more");
                Report(model.Check(bitmap.IsMarked, Content));
                if (bitmap.IsEnabled != model.IsEnabled) Report($"bitmap {model.Name} has forgotten whether it is enabled");
            }
        }

        foreach (BitmapModel lost in moment.Expected.Bitmaps.Where(b => b.IsSure && _files.Contains(b.File) && !_bitmaps.ContainsKey(b.Name))) Report($"bitmap {lost.Name} is lost");
    }

    private async ValueTask TryKeysAsync()
    {
        // Opened with each in turn: what opens is what counts.
        foreach ((string key, _) in moment.Expected.Keys.All)
        {
            try
            {
                (Machine machine, Qcow2Image image) = await Machine.OpenForCheckAsync(moment.Disk, scenario, moment.Top, key, readOnly: true);
                _keys.Add(key);
                using (await machine.Graph.ControlLock.EnterAsync()) await machine.Graph.ReleaseAsync(image);
                await machine.StopAsync();
            }
            catch (BlockException e) when (e.Kind == BlockErrorKind.Denied)
            {
                // Not this one.
            }
        }

        Report(moment.Expected.Keys.Check(_keys));
    }

    private sealed class ErrorList : IProgress<string>
    {
        public List<string> Errors { get; } = [];

        public void Report(string value)
        {
            if (!value.StartsWith("Leaked", StringComparison.Ordinal)) Errors.Add(value);
        }
    }
}
