using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
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
    private MemoryImage _image = null!;
    private int _lastValue;

    private sealed record Kept(string Name, int Sectors, bool HadBacking, Observation Content);

    public string Description => $"seed {seed}: {_features}\n{string.Join('\n', _log)}";

    public async Task RunAsync()
    {
        _features = new ConcurrentFeatures(_random);
        _model = new ConcurrentModel(_features.Sectors, s => s < _features.BackingSectors ? SectorValue.Backing : SectorValue.Zero);
        _length = _features.Sectors;
        await CreateAsync();
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
        _image = await MemoryImage.CreateAsync(SectorValue.Bytes);
        byte[] backing = new byte[_features.BackingSectors * SectorValue.Bytes];
        SectorValue.Fill(backing, 0, SectorValue.Backing);
        _image.Memory.Files["base"] = new MemoryBytes(backing);
        _image.Memory.Files["data"] = new MemoryBytes([]);
        await _image.CreateAsync("image", (long)_features.Sectors * SectorValue.Bytes, _features.Creation().ToJsonString());
    }

    private Task<OpenedImage> OpenAsync(bool readOnly = false)
    {
        JsonObject backing = new() { ["driver"] = "raw", ["file"] = ConcurrentFeatures.Memory("base") };
        return _image.OpenAsync(readOnly, backing: _features.HasBacking && !_isStreamed ? backing : null, options: _features.Runtime(), mayResize: false);
    }

    /// <summary>Requests complete on other threads and out of order, as a disk's do.</summary>
    private void MakeRequestsAsynchronous()
    {
        var random = new Random(seed);
        foreach (MemoryNode node in _image.Memory.OpenNodes)
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
        (CheckResult check, List<string> lines) = await _image.CheckAsync(options: _features.Runtime());
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

        foreach (Kept kept in _kept.Where(k => k.HadBacking == !_isStreamed || !_features.HasBacking))
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
        await File.WriteAllBytesAsync(_folder["image"], _image.File.ToArray());
        await File.WriteAllBytesAsync(_folder["base"], _image.Memory.Files["base"].ToArray());
        await File.WriteAllBytesAsync(_folder["data"], _image.Memory.Files["data"].ToArray());
        string[] secret = ["--object", $"secret,id=s,data={MemoryImage.Password}"];
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
