using System.Diagnostics;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Varve.Graph;
using Varve.Qmp.Json;
using Varve.Qmp.Server;
using Varve.Qmp.Server.Chardevs;

namespace Varve.Tests.Support;

/// <summary>What a daemon answered to a script: replies in the order of the commands, events in the order they came.</summary>
/// <param name="Replies">One line a command: <c>return ...</c> or <c>error CLASS: TEXT</c>.</param>
/// <param name="Events">One line an event: <c>NAME {...}</c>.</param>
internal sealed record QmpTranscript(IReadOnlyList<string> Replies, IReadOnlyList<string> Events);

/// <summary>A script of QMP commands that plays against Varve and against the reference's daemon, to compare what they answer.</summary>
/// <remarks>
/// Members are sorted, timestamps left out, and generated node names numbered in the order in which they are met, so that equal
/// behaviour gives equal text. Each command waits for its reply; <see cref="Wait"/> waits for an event.
/// </remarks>
/// <example><code>
/// QmpScript script = new QmpScript()
///     .Add("blockdev-add", """{"driver": "null-co", "node-name": "n"}""")
///     .Add("block-stream", """{"device": "n", "job-id": "j"}""")
///     .Wait("JOB_STATUS_CHANGE", ("id", "j"), ("status", "null"));
/// Assert.Equal((await script.RunOnReferenceAsync()).Replies, (await script.RunOnVarveAsync()).Replies);
/// </code></example>
internal sealed partial class QmpScript
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly List<Step> _steps = [];

    private sealed record Step(JsonObject? Command, string? Event, (string Member, string Value)[] Members);

    /// <summary>Adds a command; <paramref name="arguments"/> is a JSON object.</summary>
    public QmpScript Add(string command, string arguments = "{}")
    {
        _steps.Add(new Step(new JsonObject { ["execute"] = command, ["arguments"] = JsonNode.Parse(arguments) }, null, []));
        return this;
    }

    /// <summary>Waits for an event whose data has these members, unless it came already since the last wait.</summary>
    public QmpScript Wait(string name, params (string Member, string Value)[] members)
    {
        _steps.Add(new Step(null, name, members));
        return this;
    }

    /// <summary>Plays it on the reference's daemon; skips the test where that is not installed.</summary>
    /// <param name="directory">Its working directory.</param>
    public Task<QmpTranscript> RunOnReferenceAsync(string? directory = null)
    {
        Assert.SkipUnless(ReferenceTool.IsInstalled("qemu-storage-daemon"), "qemu-storage-daemon is not installed");
        return RunOnDaemonAsync("qemu-storage-daemon", directory);
    }

    /// <summary>Plays it on a daemon with qemu-storage-daemon's command line.</summary>
    /// <param name="program">Its path or name.</param>
    /// <param name="directory">Its working directory.</param>
    /// <param name="arguments">Its arguments before those that make the monitor.</param>
    public async Task<QmpTranscript> RunOnDaemonAsync(string program, string? directory = null, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, [.. arguments, "--chardev", "stdio,id=script", "--monitor", "chardev=script"])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = directory ?? "",
        };
        start.Environment["LC_ALL"] = "C";
        using Process daemon = Process.Start(start)!;
        Task<string> errors = daemon.StandardError.ReadToEndAsync();
        try
        {
            return await PlayAsync(daemon.StandardOutput.BaseStream, daemon.StandardInput.BaseStream);
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidOperationException($"{program} ended: {await errors}", e);
        }
        finally
        {
            daemon.Kill();
            await daemon.WaitForExitAsync();
        }
    }

    /// <summary>Plays it on Varve's server in this process. Relative names are relative to the process's working directory.</summary>
    public async Task<QmpTranscript> RunOnVarveAsync()
    {
        var commands = new System.IO.Pipelines.Pipe();
        var answers = new System.IO.Pipelines.Pipe();
        await using var context = new QmpContext(new BlockGraph());
        await context.Chardevs.AddAsync(new StdioChardev("script", commands.Reader.AsStream(), answers.Writer.AsStream()));
        await context.Monitors.AddAsync("script");
        try
        {
            return await PlayAsync(answers.Reader.AsStream(), commands.Writer.AsStream());
        }
        finally
        {
            await commands.Writer.CompleteAsync();
            await context.ShutDownAsync();
        }
    }

    private async Task<QmpTranscript> PlayAsync(Stream input, Stream output)
    {
        var player = new Player(input, output);
        await player.ReadAsync(m => m.ContainsKey("QMP"));
        await player.SendAsync(new JsonObject { ["execute"] = "qmp_capabilities" });
        await player.ReadAsync(m => m.ContainsKey("return"));
        foreach (Step step in _steps)
        {
            if (step.Command is null)
            {
                await player.WaitForEventAsync(step);
                continue;
            }

            await player.SendAsync(step.Command);
            await player.ReadAsync(m => m.ContainsKey("return") || m.ContainsKey("error"));
        }

        return player.Finish();
    }

    /// <summary>One run: reads messages, and notes replies and events in normal form.</summary>
    private sealed class Player(Stream input, Stream output)
    {
        private readonly JsonMessageReader _messages = new();
        private readonly Queue<JsonObject> _arrived = new();
        private readonly List<JsonObject> _replies = [], _events = [];
        private readonly Dictionary<string, string> _generated = [];
        private int _awaited;

        public async Task SendAsync(JsonObject command)
        {
            await output.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(command));
            await output.FlushAsync();
        }

        public async Task ReadAsync(Func<JsonObject, bool> isIt)
        {
            while (true)
            {
                JsonObject message = await NextAsync();
                if (message.ContainsKey("event")) _events.Add(message);
                if (!isIt(message)) continue;
                if (!message.ContainsKey("QMP") && !message.ContainsKey("event")) _replies.Add(message);
                return;
            }
        }

        public async Task WaitForEventAsync(Step step)
        {
            while (true)
            {
                for (; _awaited < _events.Count; _awaited++)
                {
                    JsonObject happened = _events[_awaited];
                    if ((string?)happened["event"] != step.Event) continue;
                    if (!step.Members.All(m => happened["data"]?[m.Member]?.ToString() == m.Value)) continue;
                    _awaited++;
                    return;
                }

                await ReadAsync(m => m.ContainsKey("event"));
            }
        }

        public QmpTranscript Finish() => new(
            [.. _replies.Skip(1).Select(r => r["error"] is { } error
                ? $"error {error["class"]}: {Normal((string)error["desc"]!)}"
                : "return " + QmpJson.ToText(Normal(r["return"])))],
            [.. _events.Select(e => $"{e["event"]} {QmpJson.ToText(Normal(e["data"]))}")]);

        private async Task<JsonObject> NextAsync()
        {
            byte[] buffer = new byte[65536];
            JsonObject? message;
            while (!_arrived.TryDequeue(out message))
            {
                int count = await input.ReadAsync(buffer, TestContext.Current.CancellationToken).AsTask().WaitAsync(s_patience);
                if (count == 0) throw new EndOfStreamException();
                foreach (JsonMessage each in _messages.Feed(buffer.AsMemory(0, count)))
                {
                    if (each.Value is JsonObject members) _arrived.Enqueue(members);   // other output of the daemon is no message
                }
            }

            return message;
        }

        private JsonNode? Normal(JsonNode? value) => value switch
        {
            JsonObject members => new JsonObject(members.OrderBy(m => m.Key, StringComparer.Ordinal).Select(m => KeyValuePair.Create(m.Key, Normal(m.Value)))),
            JsonArray elements => new JsonArray([.. elements.Select(Normal)]),
            JsonValue scalar when scalar.GetValueKind() == JsonValueKind.String => Normal(scalar.GetValue<string>()),
            _ => value?.DeepClone(),
        };

        private string Normal(string text) => GeneratedName().Replace(text, name =>
        {
            if (!_generated.TryGetValue(name.Value, out string? number)) _generated.Add(name.Value, number = $"#block{_generated.Count}");
            return number;
        });
    }

    [GeneratedRegex("#block[0-9]+")]
    private static partial Regex GeneratedName();
}
