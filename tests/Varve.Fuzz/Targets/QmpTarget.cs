using Varve.Graph;
using Varve.Protocols.Null;
using Varve.Qmp.Json;
using Varve.Qmp.Server;

namespace Varve.Fuzz.Targets;

/// <summary>What a QMP client sends: read in one piece and byte by byte, then as a conversation with a graph that has no files in it.</summary>
internal sealed class QmpTarget : FuzzTarget
{
    /// <summary>Commands that reach out of the process: the parser sees them, nobody executes them.</summary>
    private static readonly string[] s_notExecuted = ["chardev", "nbd", "export", "object-add", "getfd", "fd", "quit", "socket", "filename", "\\u"];

    public override string Name => "qmp";

    public override IEnumerable<byte[]> Seeds => SeedFiles("qmp");

    public override IReadOnlyList<byte[]> Words => WordsOf(
        "{ } [ ] : , \" ' true false null -1 1e99 0x10 9223372036854775808 \\u0000 \\ud800 \u00ff \"execute\" \"exec-oob\" \"arguments\" \"id\" qmp_capabilities "
        + "blockdev-add blockdev-del block-stream job-dismiss query-jobs query-block \"driver\" \"null-co\" \"raw\" \"node-name\" \"file\" \"size\" \"device\" \"job-id\" \"speed\"");

    public override string Run(byte[] input)
    {
        List<string> whole = Read(input, input.Length), pieces = Read(input, 1);
        if (!whole.SequenceEqual(pieces)) throw new InvalidOperationException("cut into bytes it means something else");
        string text = System.Text.Encoding.Latin1.GetString(input);
        if (!s_notExecuted.Any(word => text.Contains(word, StringComparison.OrdinalIgnoreCase))) ConverseAsync(input).GetAwaiter().GetResult();
        return string.Join(' ', whole);
    }

    private static List<string> Read(byte[] input, int piece)
    {
        var reader = new JsonMessageReader();
        var messages = new List<string>();
        for (int at = 0; at < input.Length; at += piece)
        {
            foreach (JsonMessage message in reader.Feed(input.AsMemory(at, Math.Min(piece, input.Length - at))))
            {
                QmpRequest request = QmpRequest.From(message, outOfBandEnabled: true, []);
                messages.Add(request.Error ?? QmpJson.ToText(message.Value));
            }
        }

        return messages;
    }

    private static async Task ConverseAsync(byte[] input)
    {
        var graph = new BlockGraph(new BlockDrivers([new NullDriver("null-co"), new Formats.Raw.RawDriver(), new FuzzFileDriver { Content = new byte[1 << 20] }]));
        var context = new QmpContext(graph);
        try
        {
            await QmpSession.RunAsync(context, new StreamChannel(new MemoryStream(input), Stream.Null), pretty: false, CancellationToken.None);
        }
        finally
        {
            await context.ShutDownAsync();
            await context.DisposeAsync();
        }
    }
}
