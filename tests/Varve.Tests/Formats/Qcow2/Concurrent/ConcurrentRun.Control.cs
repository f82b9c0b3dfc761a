using Varve.Bitmaps;
using Varve.Graph;
using Varve.Jobs;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <content>What happens beside the requests, one thing after the other: snapshots, bitmaps, other sizes, a stream.</content>
internal sealed partial class ConcurrentRun
{
    private readonly List<Kept> _kept = [];
    private readonly List<BackingLayer> _chain = [];
    private readonly List<BitmapTrack> _tracks = [];
    private readonly List<string> _log = [];
    private int _length, _nextName, _streams;

    private async Task ControlAsync(OpenedImage opened, Task clients)
    {
        var random = new Random(seed * 17);
        while (!clients.IsCompleted)
        {
            for (int yields = random.Next(30); yields > 0; yields--) await Task.Yield();
            switch (random.Next(15))
            {
                case 0 or 1 when _kept.Count < _features.MaxSnapshots:
                    await KeepAsync(opened);
                    break;
                case 2 when _kept.Count > 0:
                    await GiveUpAsync(opened, random.Next(_kept.Count));
                    break;
                case 3 when _kept.Count > 0 && _tracks.Count == 0:
                    await GoBackAsync(opened, _kept[random.Next(_kept.Count)]);
                    break;
                case 4 when _tracks.Count < 3 && !_features.IsOld:
                    await AddBitmapAsync(opened, random);
                    break;
                case 5 when _tracks.Count > 0:
                    await RemoveBitmapAsync(opened, random.Next(_tracks.Count));
                    break;
                case 6 or 7 when _tracks.Count > 0:
                    await ChangeBitmapAsync(opened, random);
                    break;
                case 8 or 9 when _kept.Count == 0 || !_features.IsOld:
                    await ResizeAsync(opened, random.Next(_features.SharedSectors, _features.Sectors + 1));
                    break;
                case 10 when _length > _features.SharedSectors:
                    int first = random.Next(_features.SharedSectors, _length);
                    await WriteAsync(opened.Backend, first, random.Next(1, Math.Min(_length - first, MaxLength) + 1), WriteFlags.None);
                    break;
                case 11 when _chain.Count > 0 && _kept.Count == 0 && random.Next(3) == 0:
                    await StreamAsync(random.Next(1, _chain.Count + 1));
                    break;
                case 12 when _chain.Count > 1 && random.Next(3) == 0:
                    int top = random.Next(_chain.Count - 1);
                    await CommitAsync(top, random.Next(top + 1, _chain.Count));
                    break;
                case 13 or 14:
                    _time.Fire();      // cache-clean-interval
                    break;
            }
        }
    }

    private async Task<T> ControlledAsync<T>(string what, Func<Task<T>> action)
    {
        _log.Add(what);
        using IDisposable held = await _image.Graph.ControlLock.EnterAsync();
        return await action();
    }

    private async Task ControlledAsync(string what, Func<ValueTask> action) => await ControlledAsync(what, async () =>
    {
        await action();
        return true;
    });

    private async Task KeepAsync(OpenedImage opened)
    {
        string name = $"s{_nextName++}";
        Observation content = _model.Observe(0, _model.SectorCount);
        try
        {
            await ControlledAsync($"snapshot {name}", async () => { await Qcow2SnapshotTests.CreateAsync(opened, name); });
            _kept.Add(new Kept(name, _length, _streams, content));
        }
        catch (BlockException e) when (_features.RefcountBits <= 4)
        {
            _log.Add($"refused: {e.Message}");      // a cluster that holds several compressed ones has too many references
        }
        finally
        {
            _model.Close(content);
        }
    }

    private async Task GiveUpAsync(OpenedImage opened, int index)
    {
        await ControlledAsync($"delete {_kept[index].Name}", async () => { await Qcow2SnapshotTests.DeleteAsync(opened, _kept[index].Name); });
        _kept.RemoveAt(index);
    }

    private async Task GoBackAsync(OpenedImage opened, Kept kept)
    {
        if (kept.Streams != _streams) return;      // it would show another backing image
        Change change = _model.Begin(0, kept.Content.Values, marks: false);
        try
        {
            await ControlledAsync($"apply {kept.Name}", async () => { await Qcow2SnapshotTests.ApplyAsync(opened, kept.Name); });
            _length = kept.Sectors;
            _model.End(change);
        }
        catch (BlockException e) when (_features.RefcountBits <= 4)
        {
            _log.Add($"refused: {e.Message}");
            _model.End(change, mayHaveLeft: true);
        }
    }

    private async Task AddBitmapAsync(OpenedImage opened, Random random)
    {
        var track = new BitmapTrack($"b{_nextName++}", _model.SectorCount);
        long granularity = 512L << random.Next(8);
        await ControlledAsync($"add {track.Name}", async () =>
        {
            using DrainedSection drained = await BlockGraph.DrainAsync(opened.Node);
            await BitmapOperations.AddAsync(opened.Node, track.Name, granularity, persistent: true, disabled: false);
        });
        _tracks.Add(track);
        _model.Track(track);
    }

    private async Task RemoveBitmapAsync(OpenedImage opened, int index)
    {
        BitmapTrack track = _tracks[index];
        _tracks.RemoveAt(index);
        _model.Drop(track);
        await ControlledAsync($"remove {track.Name}", async () => { await BitmapOperations.RemoveAsync(opened.Node, track.Name); });
    }

    private async Task ChangeBitmapAsync(OpenedImage opened, Random random)
    {
        BitmapTrack track = _tracks[random.Next(_tracks.Count)], source = _tracks[random.Next(_tracks.Count)];
        switch (random.Next(4))
        {
            case 0:
                _model.Change(() => track.Since = BitmapTrack.Never);
                await ControlledAsync($"disable {track.Name}", () => BitmapOperations.DisableAsync(opened.Node, track.Name));
                break;
            case 1:
                await ControlledAsync($"enable {track.Name}", () => BitmapOperations.EnableAsync(opened.Node, track.Name));
                if (track.Since == BitmapTrack.Never) _model.Track(track);
                break;
            case 2:
                bool isRecording = track.Since != BitmapTrack.Never;
                _model.Change(() => track.Since = BitmapTrack.Never);
                _model.Change(() => track.Clear());
                await ControlledAsync($"clear {track.Name}", () => BitmapOperations.ClearAsync(opened.Node, track.Name));
                if (isRecording) _model.Track(track);
                break;
            default:
                BitmapTrack before = new("", _model.SectorCount);
                _model.Change(() => before.Merge(source));
                await ControlledAsync(
                    $"merge {source.Name} into {track.Name}",
                    () => BitmapOperations.MergeAsync(opened.Node, track.Name, [new BitmapOperations.Source(opened.Node, source.Name)]));
                _model.Change(() => track.Merge(before));
                break;
        }
    }

    private async Task ResizeAsync(OpenedImage opened, int sectors)
    {
        int kept = Math.Min(sectors, _length);
        Change change = _model.Begin(kept, _model.SectorCount - kept, SectorValue.Zero, marks: false);
        await ControlledAsync($"resize to {sectors}", async () =>
        {
            BlockBackend resizer = await _image.Graph.OpenBackendAsync(opened.Node, BlockPermissions.Resize, BlockPermissions.All);
            using (DrainedSection drained = await BlockGraph.DrainAsync(opened.Node))
            {
                await opened.Node.ResizeAsync((long)sectors * SectorValue.Bytes, PreallocationMode.Off, default);
            }

            await resizer.CloseAsync();
        });
        _model.End(change);
        _model.Change(() => _tracks.ForEach(t => t.Clear(from: kept)));
        _length = sectors;
    }

    /// <summary>Takes images out of the chain below, the next ones first; what is left stays as backing image.</summary>
    private async Task StreamAsync(int count)
    {
        string? rest = count < _chain.Count ? _chain[count].Name : null;
        await RunJobAsync($"stream above {rest}", jobs => jobs.StartStreamAsync(new StreamOptions("disk") { JobId = "job", BaseNode = rest, BackingFile = rest }));
        _chain.RemoveRange(0, count);
        _streams++;
    }

    /// <summary>Moves what images of the chain below hold into a lower one. What shows is the same, and is found elsewhere.</summary>
    private async Task CommitAsync(int top, int bottom)
    {
        (string from, string to) = (_chain[top].Name, _chain[bottom].Name);
        await RunJobAsync($"commit {from} into {to}", jobs => jobs.StartCommitAsync(
            _image.Graph.FindNode("disk")!, new CommitOptions("disk") { JobId = "job", TopNode = from, BaseNode = to, BackingFile = to }));
        _chain.RemoveRange(top, bottom - top);
    }

    private async Task RunJobAsync(string what, Func<JobRegistry, ValueTask<BlockJob>> start)
    {
        var jobs = new JobRegistry(_image.Graph);
        BlockJob job = await ControlledAsync(what, async () => await start(jobs));
        await job.Completion;
        Assert.Null(job.Error);
    }
}
