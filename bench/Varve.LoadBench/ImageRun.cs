namespace Varve.LoadBench;

/// <summary>Work on whole images, by ours and the reference's tool in turn: the time, and the memory at its peak.</summary>
/// <remarks>The reference runs as it is called by default, and with the flags that make it fastest. Nothing that one has written is on its way to the
/// disk while the next is timed.</remarks>
internal sealed class ImageRun(BenchOptions options, string directory, Report report)
{
    private const string Plain = "QEMU", Best = "QEMU -W -m 16";

    /// <summary>Calls of work that takes a second or less, of which the median is one round's value.</summary>
    private const int ShortCalls = 5;

    public async Task RunAsync()
    {
        string raw = InDirectory("data.raw"), qcow2 = InDirectory("data.qcow2"), text = InDirectory("text.raw"), empty = InDirectory("empty.qcow2");
        string zlib = InDirectory("zlib.qcow2"), zstd = InDirectory("zstd.qcow2"), fragmented = InDirectory("fragmented.qcow2"), target = InDirectory("target");
        SourceImage.WriteRandom(raw, options.SizeMib);
        SourceImage.WriteText(text, options.SizeMib / 2);
        await Tool.RunAsync("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, qcow2).ConfigureAwait(false);
        await Tool.RunAsync("qemu-img", "convert", "-c", "-W", "-f", "raw", "-O", "qcow2", text, zlib).ConfigureAwait(false);
        await Tool.RunAsync("qemu-img", "convert", "-c", "-W", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", text, zstd).ConfigureAwait(false);
        await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", empty, "1T").ConfigureAwait(false);
        await SourceImage.WriteFragmentedAsync(fragmented, gibibytes: 64).ConfigureAwait(false);

        // Nothing but the system calls that copy the data: what these conversions could take at best.
        var copy = new Command("cp", "cp", [raw, target]);
        for (int pair = 0; pair < options.Pairs; pair++)
        {
            Measure("convert raw to qcow2", pair, [.. Convert("-f", "raw", "-O", "qcow2", raw, target), copy], ShortCalls);
            Measure("convert qcow2 to raw", pair, [.. Convert("-f", "qcow2", "-O", "raw", qcow2, target), copy], ShortCalls);
            Measure("convert raw to zlib qcow2", pair, Convert("-c", "-f", "raw", "-O", "qcow2", text, target));
            Measure("convert raw to zstd qcow2", pair, Convert("-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", text, target));
            Measure("convert zlib qcow2 to raw", pair, Convert("-f", "qcow2", "-O", "raw", zlib, target));
            Measure("convert zstd qcow2 to raw", pair, Convert("-f", "qcow2", "-O", "raw", zstd, target), ShortCalls);
            Measure("convert an empty 1 TiB qcow2 to qcow2", pair, Convert("-f", "qcow2", "-O", "qcow2", empty, target), ShortCalls);
            Measure("compare raw and qcow2", pair, Both("compare", "-f", "raw", "-F", "qcow2", raw, qcow2), ShortCalls);
            Measure("check 64 GiB, fragmented", pair, Both("check", "-f", "qcow2", fragmented));
            Measure("map 64 GiB, fragmented", pair, Both("map", "-f", "qcow2", fragmented));
            Measure("measure raw", pair, Both("measure", "-f", "raw", "-O", "qcow2", raw), ShortCalls);
        }

        void Measure(string row, int pair, Command[] sides, int calls = 1)
        {
            foreach (Command side in pair % 2 == 0 ? sides : sides.Reverse())
            {
                (double Milliseconds, double PeakKibibytes)[] runs = [.. Enumerable.Range(0, calls).Select(_ => MeasureOnce(side))];
                double milliseconds = runs.Select(r => r.Milliseconds).Order().ElementAt(calls / 2), peak = runs.Max(r => r.PeakKibibytes);
                report.Add(row, "ms", side.Side, milliseconds);
                report.Add(row, "peak KiB", side.Side, peak);
                Console.Error.WriteLine($"{pair + 1}/{options.Pairs} {row}: {side.Side} {milliseconds:F0} ms, {peak:F0} KiB");
            }
        }

        (double Milliseconds, double PeakKibibytes) MeasureOnce(Command side)
        {
            File.Delete(target);
            Command.Sync(directory);
            return side.MeasureOnce(directory);
        }
    }

    private string InDirectory(string name) => Path.Combine(directory, name);

    private Command[] Convert(params string[] arguments)
        => [.. Both(["convert", .. arguments]), new Command(Best, "qemu-img", ["convert", "-W", "-m", "16", .. arguments])];

    private Command[] Both(params string[] arguments)
        => [new Command(ServerProcess.Varve, options.Server!, ["img", .. arguments]), new Command(Plain, "qemu-img", arguments)];
}
