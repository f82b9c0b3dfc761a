using System.Globalization;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>Images of random features, through random operations by our tools and the reference's in turn: the other side always reads
/// what a byte array says, and both sides' checks are clean. One seed is one run.</summary>
/// <remarks><c>VARVE_ROUND_TRIPS=FROM-COUNT</c> runs other seeds, or more.</remarks>
public sealed class RoundTripTests
{
    private const int Steps = 8;

    public static TheoryData<int> Seeds
    {
        get
        {
            string[] range = (Environment.GetEnvironmentVariable("VARVE_ROUND_TRIPS") ?? "0-24").Split('-');
            return [.. Enumerable.Range(int.Parse(range[0], CultureInfo.InvariantCulture), int.Parse(range[1], CultureInfo.InvariantCulture))];
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Both_sides_read_and_check_what_the_other_did(int seed)
    {
        var run = new RoundTrip(seed);
        try
        {
            await run.CreateAsync();
            for (int step = 0; step < Steps; step++)
            {
                await run.StepAsync();
                await run.CheckAsync();
            }
        }
        catch (Exception e) when (e is Xunit.Sdk.XunitException or BlockException)
        {
            Assert.Fail($"seed {seed}: {e.Message}\n{string.Join('\n', run.Log)}");
        }
        finally
        {
            run.Dispose();
        }
    }

    /// <summary>One image, and what its disk holds.</summary>
    private sealed class RoundTrip(int seed) : IDisposable
    {
        private readonly Random _random = new(seed);
        private readonly TempDirectory _folder = new();
        private readonly Dictionary<string, byte[]> _snapshots = new(StringComparer.Ordinal);
        private byte[] _disk = [];
        private string _name = "image0";
        private int _clusterSize, _files;
        private bool _hasDataFile, _isVersion2;

        /// <summary>The commands so far, who ran them in front.</summary>
        public List<string> Log { get; } = [];

        public async Task CreateAsync()
        {
            int size = _random.Next(1, 65) << 14;
            _disk = new byte[size];
            await ToolAsync("img", ["create", "-q", "-f", "qcow2", "-o", Options(), _folder[_name], $"{size}"]);
        }

        public Task StepAsync()
        {
            int at = _random.Next(_disk.Length >> 9) << 9, length = Math.Min(_random.Next(1, 129) << 9, _disk.Length - at);
            byte value = (byte)_random.Next(1, 256);
            switch (_random.Next(9))
            {
                case 0 or 1 or 2:
                    return WriteAsync($"write -P {value} {at} {length}", at, length, value);
                case 3:
                    return WriteAsync($"write -z {at} {length}", at, length, 0);
                case 4:
                    return WriteAsync($"write -z -u {at} {length}", at, length, 0);
                case 5 when !_hasDataFile:
                    at = at / _clusterSize * _clusterSize;
                    length = Math.Min(_clusterSize, _disk.Length - at);
                    return WriteCompressedAsync($"write -c -P {value} {at} {length}", at, length, value);
                case 6 when !_hasDataFile:
                    return SnapshotAsync();
                case 7 when _snapshots.Count == 0 && !_isVersion2:
                    Array.Resize(ref _disk, _disk.Length + (_random.Next(1, 9) << 14));
                    return ToolAsync("img", ["resize", "-q", "-f", "qcow2", _folder[_name], $"{_disk.Length}"]);
                case 8:
                    return ConvertAsync();
                default:
                    return WriteAsync($"write -P {value} {at} {length}", at, length, value);
            }
        }

        /// <summary>Both checks, and the disk as each side reads it.</summary>
        public async Task CheckAsync()
        {
            foreach (bool ours in new[] { true, false })
            {
                await ToolAsync("img", ["check", "-q", "-f", "qcow2", _folder[_name]], ours);
                await ToolAsync("img", ["convert", "-f", "qcow2", "-O", "raw", _folder[_name], _folder["raw"]], ours);
                byte[] read = await File.ReadAllBytesAsync(_folder["raw"]);
                int different = read.AsSpan().CommonPrefixLength(_disk);
                Assert.True(read.Length == _disk.Length && different == _disk.Length, $"{(ours ? "ours" : "theirs")} reads {read.Length} bytes of {_disk.Length}, different at {different}");
            }
        }

        private async Task WriteAsync(string command, int at, int length, byte value)
        {
            _disk.AsSpan(at, length).Fill(value);
            await ToolAsync("io", ["-f", "qcow2", "-c", command, _folder[_name]]);
        }

        /// <summary>A cluster that holds data already is not compressed: both sides say so, and change nothing.</summary>
        private async Task WriteCompressedAsync(string command, int at, int length, byte value)
        {
            ToolRun run = await RunAsync("io", ["-f", "qcow2", "-c", command, _folder[_name]], _random.Next(2) == 0);
            if (run.Output.Contains("write failed: Input/output error", StringComparison.Ordinal)) return;
            AssertFine(run);
            _disk.AsSpan(at, length).Fill(value);
        }

        private async Task SnapshotAsync()
        {
            string name = _snapshots.Count > 0 && _random.Next(3) > 0 ? _snapshots.Keys.ElementAt(_random.Next(_snapshots.Count)) : $"s{_files++}";
            string flag = !_snapshots.TryGetValue(name, out byte[]? kept) ? "-c" : _random.Next(2) == 0 ? "-a" : "-d";
            await ToolAsync("img", ["snapshot", "-q", flag, name, _folder[_name]]);
            if (flag == "-c") _snapshots[name] = [.. _disk];
            else if (flag == "-d") _snapshots.Remove(name);
            else _disk = [.. kept!];
        }

        private async Task ConvertAsync()
        {
            string next = $"image{++_files}", source = _folder[_name], options = Options();
            string[] compressed = _random.Next(3) == 0 && !_hasDataFile ? ["-c"] : [];
            await ToolAsync("img", ["convert", "-f", "qcow2", "-O", "qcow2", "-o", options, .. compressed, source, _folder[next]]);
            _name = next;
            _snapshots.Clear();
        }

        private string Options()
        {
            _isVersion2 = _random.Next(6) == 0;
            _clusterSize = 512 << _random.Next(9);
            var options = new List<string> { $"cluster_size={_clusterSize}", _isVersion2 ? "compat=0.10" : "compat=1.1" };
            _hasDataFile = false;
            if (_isVersion2) return string.Join(',', options);
            options.Add($"refcount_bits={1 << _random.Next(3, 7)}");
            if (_random.Next(4) == 0) options.Add("lazy_refcounts=on");
            if (_clusterSize >= 16 << 10 && _random.Next(3) == 0) options.Add("extended_l2=on");
            if (_random.Next(5) == 0)
            {
                _hasDataFile = true;
                options.Add($"data_file={_folder[$"data{_files}"]}");
                if (_random.Next(2) == 0) options.Add("data_file_raw=on");
            }
            else if (_random.Next(3) == 0)
            {
                options.Add("compression_type=zstd");
            }

            return string.Join(',', options);
        }

        private async Task ToolAsync(string tool, string[] arguments, bool? byUs = null)
            => AssertFine(await RunAsync(tool, arguments, byUs ?? _random.Next(2) == 0));

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
}
