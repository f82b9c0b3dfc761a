using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Options;

namespace Varve.Cli.Io.Commands;

/// <summary><c>open</c>: opens an image, when none is open.</summary>
/// <param name="images">Opens and closes.</param>
internal sealed class OpenCommand(IoImages images) : IoCommand
{
    private static readonly OptionTable s_options = new("snCro:ki:t:d:U");

    public override string Name => "open";

    public override string Alias => "o";

    public override string Arguments => "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]";

    public override string Summary => "open the file specified by path";

    public override string Details => """
         -r  read-only                                -s  writes go to a temporary overlay
         -C  what is read from below is copied up     -U  share it with a program that writes to it
         -n  without the page cache (-t none)         -t  cache mode
         -k  native AIO, -i  which AIO                -d  discards: ignore or unmap
         -o  options for the driver, as of --image-opts

         open -n -o driver=raw /tmp/data     opens a raw image without the page cache

        """;

    public override int MinArguments => 1;

    public override int MaxArguments => Unlimited;

    public override bool RunsWithoutImage => true;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var opening = new IoOpening();
        var options = new JsonObject();
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            if (option == 'o')
            {
                if (images.TakesOptions) throw new IoRefusal("--image-opts and 'open -o' are mutually exclusive\n");
                foreach ((string key, string value) in OptionString.ParsePairs(argument, warn: images.Warn)) options[key] = value;
            }
            else
            {
                opening = opening.With(option, argument);
            }
        });
        if (operands.Count > 1 || (operands.Count == 0 && options.Count == 0 && !HasFlag(arguments))) throw new IoRefusal(Usage);
        string? file = operands.Count == 0 ? null : operands[0];
        if (file is not null && images.TakesOptions) (options, file) = (OptionString.Parse(file, warn: images.Warn), null);
        await images.OpenAsync(engine, opening, file, options, cancellationToken).ConfigureAwait(false);
        return true;
    }

    // Options without a name are enough for the attempt; what is missing is said by whoever opens.
    private static bool HasFlag(IReadOnlyList<string> arguments) => arguments.Count > 0;
}
