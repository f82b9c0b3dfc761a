using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Graph;
using Varve.Options;

namespace Varve.Cli.Io.Commands;

/// <summary><c>reopen</c>: changes how the image is open.</summary>
internal sealed class ReopenCommand : IoCommand
{
    private static readonly OptionTable s_options = new("c:o:rw");

    public override string Name => "reopen";

    public override string Arguments => "[(-r|-w)] [-c cache] [-o options]";

    public override string Summary => "reopens an image with new options";

    public override string Details => """
         -r  read-only                                -w  read-write
         -c  cache mode                               -o  options of the driver, as of open

         reopen -o lazy-refcounts=on     lets the refcounts of a qcow2 image lag from now on

        """;

    public override int MaxArguments => Unlimited;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        bool? readOnly = null;
        CacheMode? cache = null;
        var options = new JsonObject();
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'c':
                    cache = CacheMode.TryParse(argument) ?? throw Invalid($"Invalid cache option: {argument}");
                    break;
                case 'o':
                    IEnumerable<(string, string)> pairs = OptionString.ParsePairs(
                        argument, warn: text => engine.Output.PrintError($"qemu-io: warning: {text}\n"));
                    foreach ((string key, string value) in pairs) options[key] = value;
                    break;
                default:
                    if (readOnly is not null) throw Invalid("Only one -r/-w option may be given");
                    readOnly = option == 'r';
                    break;
            }
        });
        RequireOperands(operands, 0, 0);
        if (readOnly is not null && options.ContainsKey("read-only")) throw Invalid("Cannot set both -r/-w and 'read-only'");
        if (cache is not null && options.Any(o => o.Key.StartsWith("cache.", StringComparison.Ordinal))) throw Invalid("Cannot set both -c and the cache options");
        await engine.ReopenAsync(readOnly, cache, options, cancellationToken).ConfigureAwait(false);
        return true;
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
