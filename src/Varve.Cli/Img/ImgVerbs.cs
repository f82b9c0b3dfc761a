namespace Varve.Cli.Img;

/// <summary>A verb of <c>img</c>.</summary>
/// <param name="Name">As on the command line.</param>
/// <param name="Summary">What it does, for people.</param>
/// <param name="Syntax">What follows the name.</param>
/// <param name="Create">A fresh command; each runs once.</param>
internal sealed record ImgVerb(string Name, string Summary, string Syntax, Func<ImgCommand> Create);

/// <summary>All verbs of <c>img</c>: what is run, what help shows and what shells complete.</summary>
internal static class ImgVerbs
{
    private const string Image = "[--object objectdef] [--image-opts]";

    public static IReadOnlyList<ImgVerb> All { get; } =
    [
        new("amend", "Changes options of an image that exists",
            Image + " [-p] [-q] [-f fmt] [-t cache] [--force] [--progress=style] -o options filename", () => new AmendCommand()),
        new("bench", "Measures how long a number of requests takes",
            "[-c count] [-d depth] [-f fmt] [--flush-interval=flush_interval] [-i aio] [-n] [--no-drain] [-o offset] [--pattern=pattern] [-q] [-s buffer_size] [-S step_size] [-t cache] [-w] [-U] [--progress=style] filename",
            () => new BenchCommand()),
        new("bitmap", "Changes the dirty bitmaps an image stores, action by action",
            "(--merge SOURCE | --add | --remove | --clear | --enable | --disable)... [-b source_file [-F source_fmt]] [-g granularity] " + Image + " [-f fmt] filename bitmap",
            () => new BitmapCommand()),
        new("check", "Compares an image's metadata with itself, and repairs it on request",
            Image + " [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] [--progress=style] filename", () => new CheckCommand()),
        new("commit", "Moves what an image holds into its backing image",
            Image + " [-q] [-f fmt] [-t cache] [-b base] [-r rate_limit] [-d] [-p] [--progress=style] filename", () => new CommitCommand()),
        new("compare", "Tells whether two images show the same data",
            Image + " [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] [--progress=style] filename1 filename2", () => new CompareCommand()),
        new("convert", "Copies images into a new one, of another format where wanted",
            Image + " [--target-image-opts] [--target-is-zero] [--bitmaps [--skip-broken-bitmaps]] [-U] [-C] [-c] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-l snapshot_param] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] [--salvage] [--progress=style] filename [filename2 [...]] output_filename",
            () => new ConvertCommand()),
        new("create", "Makes an image",
            "[--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] [--progress=style] filename [size]", () => new CreateCommand()),
        new("dd", "Copies a run of blocks of an image into a new one",
            "[--image-opts] [-U] [-f fmt] [-O output_fmt] [--progress=style] [bs=block_size] [count=blocks] [skip=blocks] if=input of=output", () => new DdCommand()),
        new("info", "Tells what an image is, from its metadata",
            Image + " [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename", () => new InfoCommand()),
        new("map", "Tells where every range of an image's data lies",
            Image + " [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] filename", () => new MapCommand()),
        new("measure", "Tells how large the file of a new image would be",
            "[--output=ofmt] [-O output_fmt] [-o options] [--progress=style] [--size N | [--object objectdef] [--image-opts] [-f fmt] [-l snapshot_param] filename]", () => new MeasureCommand()),
        new("rebase", "Gives an image another backing image",
            Image + " [-U] [-q] [-f fmt] [-t cache] [-T src_cache] [-p] [-u] [-c] [--progress=style] -b backing_file [-F backing_fmt] filename", () => new RebaseCommand()),
        new("resize", "Makes a virtual disk longer or shorter",
            Image + " [-f fmt] [--preallocation=prealloc] [-q] [--shrink] [--progress=style] filename [+ | -]size", () => new ResizeCommand()),
        new("snapshot", "Lists, takes, applies and deletes the snapshots inside an image",
            Image + " [-U] [-q] [-l | -a snapshot | -c snapshot | -d snapshot] filename", () => new SnapshotCommand()),
    ];

    /// <summary>The verb of that name, or null.</summary>
    public static ImgVerb? Find(string name) => All.FirstOrDefault(v => v.Name == name);
}
