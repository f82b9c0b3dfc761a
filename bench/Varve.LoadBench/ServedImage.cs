namespace Varve.LoadBench;

/// <summary>An image that servers serve, and what is done to it.</summary>
/// <param name="Name">As in the table.</param>
/// <param name="Format">raw or qcow2.</param>
/// <param name="Path">Where it is.</param>
/// <param name="MiB">How much of it the clients use.</param>
/// <param name="Workloads">What is measured.</param>
internal sealed record ServedImage(string Name, string Format, string Path, long MiB, IReadOnlyList<Workload> Workloads)
{
    /// <summary>No image at all: what is left is the protocol, the socket and the client.</summary>
    public const string Nothing = "null-co";

    private const int ChainDepth = 64, FreshGibibytes = 64;

    /// <summary>Makes the image anew before each measurement; null: it stays.</summary>
    public Func<Task>? Prepare { get; init; }

    /// <summary>What the options ask for.</summary>
    public static async Task<IReadOnlyList<ServedImage>> CreateAsync(BenchOptions options, string directory, string raw)
    {
        var images = new List<ServedImage>();
        string qcow2 = InDirectory("image.qcow2"), fresh = InDirectory("fresh.qcow2");
        if (options.Only.Contains("raw")) images.Add(new("raw", "raw", raw, options.SizeMib, Workload.All));
        if (options.Only.Contains("qcow2"))
        {
            await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", qcow2, $"{options.SizeMib}M").ConfigureAwait(false);
            await FillAsync(qcow2, Enumerable.Range(0, (int)(options.SizeMib * 16)), pattern: 1).ConfigureAwait(false);
            images.Add(new("qcow2", "qcow2", qcow2, options.SizeMib, Workload.All));
        }

        if (options.Only.Contains("chain"))
        {
            string top = await CreateChainAsync(options, directory, raw, ChainDepth).ConfigureAwait(false);
            images.Add(new($"qcow2, {ChainDepth} overlays", "qcow2", top, options.SizeMib, [Workload.RandomRead]));
        }

        if (options.Only.Contains("allocate"))
        {
            images.Add(new("qcow2, nothing allocated", "qcow2", fresh, FreshGibibytes * 1024, [Workload.RandomWrite])
            {
                Prepare = () =>
                {
                    File.Delete(fresh);
                    return Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", fresh, $"{FreshGibibytes}G");
                },
            });
        }

        if (options.Only.Contains("limits")) images.Add(new("limit: no storage", Nothing, "", options.SizeMib, [Workload.RandomRead, Workload.RandomWrite]));
        return images;

        string InDirectory(string name) => System.IO.Path.Combine(directory, name);
    }

    /// <summary>Every overlay holds its share of the clusters, so that a read finds its data at any depth.</summary>
    public static async Task<string> CreateChainAsync(BenchOptions options, string directory, string raw, int depth)
    {
        string below = raw, format = "raw";
        var random = new Random(4);
        int[] owners = [.. Enumerable.Range(0, (int)(options.SizeMib * 16)).Select(_ => random.Next(depth))];
        for (int level = 0; level < depth; level++)
        {
            string image = System.IO.Path.Combine(directory, $"overlay{depth}-{level}.qcow2");
            await Tool.RunAsync("qemu-img", "create", "-q", "-f", "qcow2", "-b", below, "-F", format, image).ConfigureAwait(false);
            await FillAsync(image, Enumerable.Range(0, owners.Length).Where(cluster => owners[cluster] == level), level + 1).ConfigureAwait(false);
            (below, format) = (image, "qcow2");
        }

        return below;
    }

    /// <summary>Writes clusters one by one, as <see cref="LoadRun"/> fills the raw file and for the same reason.</summary>
    private static async Task FillAsync(string qcow2, IEnumerable<int> clusters, int pattern)
        => await Tool.RunAsync("qemu-io", ["-f", "qcow2", .. clusters.SelectMany(c => (string[])["-c", $"write -q -P {pattern} {(long)c << 16} 64k"]), qcow2]).ConfigureAwait(false);
}
