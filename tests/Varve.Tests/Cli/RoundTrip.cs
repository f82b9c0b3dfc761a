using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>One image on its chain, and what its disk holds.</summary>
internal sealed partial class RoundTrip(int seed) : IDisposable
{
    private readonly Random _random = new(seed);
    private readonly TempDirectory _folder = new();
    private readonly Dictionary<string, byte[]> _snapshots = new(StringComparer.Ordinal);
    private byte[] _disk = [];
    private string _name = "image0", _encryption = "";      // "", "luks" inside qcow2, "aes" of old, or "volume": the luks format itself
    private int _clusterSize, _files;
    private bool _hasDataFile, _isVersion2, _mayBecomeVersion2;

    /// <summary>The commands so far, who ran them in front.</summary>
    public List<string> Log { get; } = [];

    private bool IsEncrypted => _encryption.Length > 0;

    private bool IsQcow2 => _encryption != "volume";

    public async Task CreateAsync()
    {
        _disk = new byte[_random.Next(1, 65) << 14];
        await ToolAsync("img", ["create", "-q", .. NewImage(), _folder[_name], $"{_disk.Length}"]);
        await ZeroVolumeAsync(0);
    }

    /// <summary>What nobody has written to a volume of the luks format was never encrypted, and is no zeros.</summary>
    private async Task ZeroVolumeAsync(int from)
    {
        if (!IsQcow2) await ToolAsync("io", Image("-c", $"write -P 0 {from} {_disk.Length - from}"));
    }

    public Task StepAsync()
    {
        int choice = _random.Next(16);
        if (choice >= 9 && !IsQcow2) choice = _random.Next(9);
        return choice switch
        {
            < 4 => WriteSomethingAsync(),
            4 when CanCompress => WriteCompressedAsync(),
            5 when CanSnapshot => SnapshotAsync(),
            6 when _snapshots.Count == 0 && !_isVersion2 => GrowAsync(),
            7 or 8 => ConvertAsync(),
            9 or 10 when !_isVersion2 => ChangeBitmapsAsync(),
            11 when CanChangeChain && !IsEncrypted => OverlayAsync(),
            12 when CanChangeChain && _below.Count > 0 => RebaseAsync(),
            13 when CanChangeChain && _below.Count > 0 && !_isVersion2 => CommitAsync(),
            14 when _bitmaps.Count == 0 => AmendAsync(),
            _ => WriteSomethingAsync(),
        };
    }

    /// <summary>Both checks, and the disk and the bitmaps as each side reads them.</summary>
    public async Task CheckAsync()
    {
        foreach (bool ours in new[] { true, false })
        {
            if (IsQcow2) await ToolAsync("img", ["check", "-q", .. Image()], ours);
            await ToolAsync("img", ["convert", .. Image(), "-O", "raw", _folder["raw"]], ours);
            byte[] read = await File.ReadAllBytesAsync(_folder["raw"]);
            int different = read.AsSpan().CommonPrefixLength(_disk);
            Assert.True(read.Length == _disk.Length && different == _disk.Length, $"{(ours ? "ours" : "theirs")} reads {read.Length} bytes of {_disk.Length}, different at {different}");
        }

        await CheckBitmapsAsync();
    }

    private bool CanCompress => !_hasDataFile && !IsEncrypted;

    private bool CanSnapshot => !_hasDataFile && IsQcow2;

    /// <summary>What is below an image shows in its snapshots, and rebasing marks in bitmaps what it likes.</summary>
    private bool CanChangeChain => _snapshots.Count == 0 && _bitmaps.Count == 0;

    private async Task WriteSomethingAsync()
    {
        int at = _random.Next(_disk.Length >> 9) << 9, length = Math.Min(_random.Next(1, 129) << 9, _disk.Length - at), kind = _random.Next(5);
        byte value = kind < 3 ? (byte)_random.Next(1, 256) : (byte)0;
        string command = kind < 3 ? $"write -P {value}" : kind == 3 ? "write -z" : "write -z -u";
        _disk.AsSpan(at, length).Fill(value);
        MarkBitmaps(at, length);
        await ToolAsync("io", [.. Image("-c", $"{command} {at} {length}")]);
    }

    /// <summary>A cluster that holds data already is not compressed: both sides say so, and change nothing.</summary>
    private async Task WriteCompressedAsync()
    {
        int at = _random.Next(_disk.Length >> 9) << 9;
        at = at / _clusterSize * _clusterSize;
        int length = Math.Min(_clusterSize, _disk.Length - at);
        byte value = (byte)_random.Next(1, 256);
        ToolRun run = await RunAsync("io", [.. Image("-c", $"write -c -P {value} {at} {length}")], _random.Next(2) == 0);
        MarkBitmaps(at, length);
        if (run.Output.Contains("write failed: Input/output error", StringComparison.Ordinal)) return;
        AssertFine(run);
        _disk.AsSpan(at, length).Fill(value);
    }

    private async Task SnapshotAsync()
    {
        string name = _snapshots.Count > 0 && _random.Next(3) > 0 ? _snapshots.Keys.ElementAt(_random.Next(_snapshots.Count)) : $"s{_files++}";
        bool isKept = _snapshots.TryGetValue(name, out byte[]? kept);
        string flag = !isKept ? "-c" : _random.Next(2) == 0 && _bitmaps.Count == 0 ? "-a" : "-d";
        string[] image = IsEncrypted ? Image() : [_folder[_name]];
        await ToolAsync("img", ["snapshot", "-q", flag, name, .. image]);
        if (flag == "-c") _snapshots[name] = [.. _disk];
        else if (flag == "-d") _snapshots.Remove(name);
        else _disk = [.. kept!];
    }

    private async Task GrowAsync()
    {
        int before = _disk.Length;
        Array.Resize(ref _disk, _disk.Length + (_random.Next(1, 9) << 14));
        GrowBitmaps();
        await ToolAsync("img", ["resize", "-q", .. Image(), $"{_disk.Length}"]);
        await ZeroVolumeAsync(before);
    }

    private async Task ConvertAsync()
    {
        string[] source = Image(), target;
        bool wasEncrypted = IsEncrypted;
        bool compresses = _random.Next(3) == 0, takesBitmaps = _bitmaps.Count > 0 && _random.Next(2) == 0;
        string next = $"image{++_files}";
        target = NewImage();
        List<string> flags = IsEncrypted && !wasEncrypted ? [.. Secret] : [];
        if (compresses && CanCompress) flags.Add("-c");
        takesBitmaps &= IsQcow2 && !_isVersion2;
        if (takesBitmaps) flags.Add("--bitmaps");
        await ToolAsync("img", ["convert", .. flags, .. source[..^1], "-O", target[1], .. target[2..].Except(Secret), source[^1], _folder[next]]);
        _name = next;
        _below.Clear();
        _snapshots.Clear();
        if (!takesBitmaps) _bitmaps.Clear();
    }

    private async Task ToolAsync(string tool, string[] arguments, bool? byUs = null)
    {
        ToolRun run = await RunAsync(tool, arguments, byUs ?? _random.Next(2) == 0);

        // The reference cannot time key derivation on a machine that is busy; ours does it then.
        if (run.Error.Contains("Unable to get accurate CPU usage", StringComparison.Ordinal)) run = await RunAsync(tool, arguments, byUs: true);
        AssertFine(run);
    }

    private async Task<ToolRun> RunAsync(string tool, string[] arguments, bool byUs)
    {
        Log.Add($"{(byUs ? "varve" : "qemu")} {tool} {string.Join(' ', arguments)}");
        return !byUs ? await ToolRun.ReferenceAsync("qemu-" + tool, arguments)
            : tool == "img" ? await ToolRun.ImgAsync(arguments) : await ToolRun.IoAsync(arguments);
    }

    private static void AssertFine(ToolRun run)
        => Assert.True(run.ExitCode == 0 && !run.Output.Contains("failed", StringComparison.Ordinal), $"status {run.ExitCode}: {run.Output}{run.Error}");

    public void Dispose() => _folder.Dispose();
}
