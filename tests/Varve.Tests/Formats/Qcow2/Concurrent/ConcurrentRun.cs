using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Simulation;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>One image, many clients that meet in sectors, and somebody who takes snapshots, keeps bitmaps, resizes and streams meanwhile.</summary>
internal sealed partial class ConcurrentRun(int seed) : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);

    private readonly Random _random = new(seed);
    private readonly TempDirectory _folder = new();
    private ConcurrentFeatures _features = null!;
    private ConcurrentModel _model = null!;
    private readonly FiredTimers _time = new();
    private ReopenedImage _image = null!;
    private int[] _below = [];
    private int _lastValue;

    private sealed record Kept(string Name, int Sectors, int Streams, Observation Content);

    public string Description => $"seed {seed}: {_features}\n{string.Join('\n', _log)}";

    public async Task RunAsync()
    {
        _features = new ConcurrentFeatures(_random);
        _length = _features.Sectors;
        _image = _features.Host is { } storage ? new HostImage(storage, _time) : new MemoryImage(_time);
        await CreateAsync();
        _model = new ConcurrentModel(_features.Sectors, s => _below[s]);
        OpenedImage opened = await OpenAsync();
        MakeRequestsAsynchronous();
        Task[] clients = [.. Enumerable.Range(0, _random.Next(2, 9)).Select(c => Task.Run(() => ClientAsync(opened.Backend, new Random(seed * 31 + c))))];
        Task control = Task.Run(() => ControlAsync(opened, Task.WhenAll(clients)));
        await Task.WhenAll([.. clients, control]).WaitAsync(s_patience);
        byte[] content = await ReadAllAsync(opened.Backend);
        await opened.DisposeAsync();
        await CheckAsync();
        await AssertShownAsync(content);
        await AssertReferenceAgreesAsync(content);
    }

    public async ValueTask DisposeAsync()
    {
        if (_image is not null) await _image.DisposeAsync();
        _folder.Dispose();
    }

    private async Task CreateAsync()
    {
        _image.Put("data", []);
        foreach (BackingLayer layer in _features.Chain.Reverse())
        {
            await CreateLayerAsync(layer);
            _chain.Insert(0, layer);
        }

        Array.Resize(ref _below, _features.Sectors);
        await _image.CreateAsync("image", (long)_features.Sectors * SectorValue.Bytes, _features.Creation(_image.NodeOf).ToJsonString());
    }

    /// <summary>Puts an image above those that are there, with data of its own here and there.</summary>
    private async Task CreateLayerAsync(BackingLayer layer)
    {
        int value = SectorValue.Backing(_chain.Count);
        Array.Resize(ref _below, layer.Sectors);
        byte[] bytes = new byte[layer.Sectors * SectorValue.Bytes];
        SectorValue.Fill(bytes, 0, value);
        if (layer.IsRaw)
        {
            _image.Put(layer.Name, bytes);
            Array.Fill(_below, value);
            return;
        }

        var options = new JsonObject { ["cluster-size"] = layer.ClusterSize, ["backing-file"] = _chain[0].Name, ["backing-fmt"] = _chain[0].Format };
        await _image.CreateAsync(layer.Name, bytes.Length, options.ToJsonString());
        await using OpenedImage opened = await _image.OpenAsync(name: layer.Name, backing: BackingNode());
        for (int i = _random.Next(20); i > 0; i--)
        {
            int first = _random.Next(layer.Sectors), count = Math.Min(_random.Next(1, 300), layer.Sectors - first);
            await opened.Backend.WriteAsync((long)first * SectorValue.Bytes, bytes.AsMemory(first * SectorValue.Bytes, count * SectorValue.Bytes));
            _below.AsSpan(first, count).Fill(value);
        }
    }

    /// <summary>The chain below the image as it is now; null without one.</summary>
    private JsonObject? BackingNode()
    {
        JsonObject? node = null;
        foreach (BackingLayer layer in Enumerable.Reverse(_chain))
        {
            var above = new JsonObject { ["driver"] = layer.Format, ["node-name"] = layer.Name, ["file"] = _image.NodeOf(layer.Name) };
            if (node is not null) above["backing"] = node;
            if (!layer.IsRaw) layer.Caches.AddTo(above);
            node = above;
        }

        return node;
    }

    private Task<OpenedImage> OpenAsync(bool readOnly = false)
        => _image.OpenAsync(readOnly, backing: BackingNode(), options: _features.Runtime(_image.NodeOf), mayResize: false);

    /// <summary>Requests complete on other threads and out of order, as a disk's do.</summary>
    private void MakeRequestsAsynchronous()
    {
        if (_image is not MemoryImage { Memory: var memory }) return;       // a file's do so by themselves
        var random = new Random(seed);
        foreach (MemoryNode node in memory.OpenNodes)
        {
            node.OnRequest = async (_, _, _) =>
            {
                int yields;
                lock (random) yields = random.Next(5);
                while (yields-- > 0) await Task.Yield();
            };
        }
    }

    private int NewValue() => Interlocked.Increment(ref _lastValue);

    /// <summary>Reads everything while nothing is under way: from now on each sector has one value.</summary>
    private async Task<byte[]> ReadAllAsync(BlockBackend disk)
    {
        Observation observation = _model.Observe(0, _length);
        byte[] content = new byte[_length * SectorValue.Bytes];
        Assert.Equal(content.Length, disk.Length);
        await disk.ReadAsync(0, content);
        Assert.Null(_model.Close(observation, content));
        return content;
    }

    private async Task CheckAsync()
    {
        (CheckResult check, List<string> lines) = await _image.CheckAsync(options: _features.Runtime(_image.NodeOf));
        Assert.True(check is { Corruptions: 0, CheckErrors: 0, Leaks: 0 }, string.Join('\n', lines));
    }

    /// <summary>The image opened again: the disk, every snapshot, every bitmap.</summary>
    private async Task AssertShownAsync(byte[] content)
    {
        await using (OpenedImage opened = await OpenAsync(readOnly: true))
        {
            byte[] again = new byte[content.Length];
            await opened.Backend.ReadAsync(0, again);
            Assert.Equal(content.Length, again.AsSpan().CommonPrefixLength(content));
            foreach (BitmapTrack track in _tracks)
            {
                DirtyBitmap bitmap = BitmapOperations.Find(opened.Node, track.Name);
                Assert.False(bitmap.IsInconsistent, track.Name);
                int missed = track.FindMissed(s => s >= _length || bitmap.IsMarked((long)s * SectorValue.Bytes));
                Assert.True(missed < 0, $"bitmap {track.Name} misses sector {missed}");
            }
        }

        foreach (Kept kept in _kept.Where(k => k.Streams == _streams))
        {
            await using OpenedImage opened = await OpenAsync(readOnly: true);
            await InternalSnapshots.LoadAsync(opened.Backend.Node, SnapshotSelector.Parse(kept.Name));
            byte[] shown = new byte[kept.Sectors * SectorValue.Bytes];
            Assert.Equal(shown.Length, opened.Backend.Length);
            await opened.Backend.ReadAsync(0, shown);
            for (int s = 0; s < kept.Sectors; s++)
            {
                int value = SectorValue.Read(shown.AsSpan(s * SectorValue.Bytes, SectorValue.Bytes), s);
                Assert.True(kept.Content.Allows(s, value), $"snapshot {kept.Name}: sector {s} holds {value}, not one of {kept.Content.Describe(s)}");
            }
        }
    }

    private async Task AssertReferenceAgreesAsync(byte[] content)
    {
        foreach (string file in _chain.Select(l => l.Name).Append("image").Append("data")) await File.WriteAllBytesAsync(_folder[file], _image.Get(file));
        string[] secret = ["--object", $"secret,id=s,data={ReopenedImage.Password}"];
        string name = $"driver=qcow2,file.filename={_folder["image"]}";
        if (_features.IsEncrypted) name += ",encrypt.key-secret=s";
        if (_features.HasDataFile) name += $",data-file.driver=file,data-file.filename={_folder["data"]}";
        Tool.Result check = await Tool.RunAsync("qemu-img", ["check", .. secret, "--image-opts", name]);
        Assert.True(check.ExitCode == 0, check.Output + check.Error);
        Tool.Result convert = await Tool.RunAsync("qemu-img", ["convert", .. secret, "-O", "raw", "--image-opts", name, _folder["raw"]]);
        Assert.True(convert.ExitCode == 0, convert.Error);
        byte[] theirs = await File.ReadAllBytesAsync(_folder["raw"]);
        Assert.Equal(content.Length, theirs.AsSpan().CommonPrefixLength(content));
    }
}
