using System.Text;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Protocols.Null;

namespace Varve.Fuzz.Targets;

/// <summary><c>json:</c> names, dotted options, option strings: as text, against the schema, and opened in a graph without files.</summary>
internal sealed class OptionsTarget : FuzzTarget
{
    public override string Name => "options";

    public override IEnumerable<byte[]> Seeds => SeedFiles("options");

    public override IReadOnlyList<byte[]> Words => WordsOf(
        "json: { } [ ] : , = . \" ' true false null on off -1 1e99 1.5G 0x10 0 1 .0. .1 %5B driver=raw, file. file.driver= backing. node-name= size= "
        + "\"driver\" \"null-co\" \"fuzz\" \"raw\" \"qcow2\" \"throttle\" \"copy-on-read\" \"copy-before-write\" \"target\" \"blkdebug\" inject-error.0.event= \"file\" \"backing\" \"size\" \"read-only\" \\u0000 \\ud800");

    public override string Run(byte[] input)
    {
        string text = Encoding.UTF8.GetString(input);
        return string.Join(" | ",
            Ending(() => Opened(text, [])),
            Ending(() => Opened(null, OptionString.Parse(text, "file"))),
            Ending(() => OptionChecker.Parse(BlockdevSchema.Options, text, "driver")),
            Ending(() => Keyval.Parse(text, "driver")),
            Ending(() => Nested(LenientJson.Parse(text))),
            SizeText.TryParse(text, out long _));
    }

    private static void Opened(string? name, JsonObject options)
    {
        var files = new FuzzFileDriver { Content = new byte[4096] };
        var graph = new BlockGraph(new BlockDrivers([
            files, new NullDriver("null-co"), new Formats.Raw.RawDriver(), new Formats.Qcow2.Qcow2Driver(), new Filters.Throttle.ThrottleDriver(),
            new Filters.CopyOnRead.CopyOnReadDriver(), new Filters.CopyBeforeWrite.CopyBeforeWriteDriver(), new Filters.CopyBeforeWrite.SnapshotAccessDriver(),
            new Filters.BlkDebug.BlkDebugDriver(),
        ]));
        try
        {
            using IDisposable held = graph.ControlLock.EnterAsync().AsTask().GetAwaiter().GetResult();
            BlockNode node = graph.OpenImageAsync(name, options, new OpenContext { References = ReferencePolicy.Everything }, new NodeSettings()).AsTask().GetAwaiter().GetResult();
            graph.ReleaseAsync(node).AsTask().GetAwaiter().GetResult();
        }
        finally
        {
            graph.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static void Nested(JsonNode? value)
    {
        if (value is JsonObject options) DottedKeys.Nest(options);
    }

    private static string Ending(Action use)
    {
        try
        {
            use();
            return "";
        }
        catch (BlockException e)
        {
            return e.Message;
        }
    }
}
