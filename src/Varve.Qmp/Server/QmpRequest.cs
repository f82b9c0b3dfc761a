using System.Text.Json;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Qmp.Json;

namespace Varve.Qmp.Server;

/// <summary>A message of a client, taken apart: a command with its arguments, or why it is none.</summary>
internal sealed class QmpRequest
{
    private QmpRequest() { }

    public string Command { get; private init; } = "";

    /// <summary>Sent with <c>exec-oob</c>.</summary>
    public bool IsOutOfBand { get; private init; }

    public JsonObject Arguments { get; private init; } = [];

    /// <summary>Whether there is an <c>id</c> to echo; it may be JSON null.</summary>
    public bool HasId { get; private init; }

    public JsonNode? Id { get; private init; }

    /// <summary>What is wrong with the message itself; null for a command.</summary>
    public string? Error { get; private init; }

    /// <summary>Descriptors that came with the message.</summary>
    public IReadOnlyList<SafeFileHandle> Descriptors { get; private init; } = [];

    /// <summary>Reads a message. Errors come in the reference's order: types of known members, then unknown members.</summary>
    public static QmpRequest From(JsonMessage message, bool outOfBandEnabled, IReadOnlyList<SafeFileHandle> descriptors)
    {
        if (message.Error is { } malformed) return new QmpRequest { Error = malformed, Descriptors = descriptors };
        if (message.Value is not JsonObject members)
        {
            return new QmpRequest { Error = "QMP input must be a JSON object", Descriptors = descriptors };
        }

        bool outOfBand = outOfBandEnabled && members.ContainsKey("exec-oob");
        bool hasId = members.TryGetPropertyValue("id", out JsonNode? id);
        members.TryGetPropertyValue("arguments", out JsonNode? arguments);
        return new QmpRequest
        {
            Error = Check(members, outOfBandEnabled),
            Command = TextOf(members[outOfBand ? "exec-oob" : "execute"]) ?? "",
            IsOutOfBand = outOfBand,
            Arguments = arguments as JsonObject ?? [],
            HasId = hasId,
            Id = id,
            Descriptors = descriptors,
        };
    }

    /// <summary>The reply: result or error, with the request's id.</summary>
    public JsonObject Reply(JsonNode? result)
    {
        var reply = new JsonObject { ["return"] = result ?? new JsonObject() };
        if (HasId) reply["id"] = Id?.DeepClone();
        return reply;
    }

    public JsonObject Refuse(string errorClass, string description)
    {
        var reply = new JsonObject();
        if (HasId) reply["id"] = Id?.DeepClone();
        reply["error"] = new JsonObject { ["class"] = errorClass, ["desc"] = description };
        return reply;
    }

    private static string? Check(JsonObject members, bool outOfBandEnabled)
    {
        string? name = null;
        foreach ((string key, JsonNode? value) in members)
        {
            if (key != "execute" && !(key == "exec-oob" && outOfBandEnabled)) continue;
            if (TextOf(value) is null) return $"QMP input member '{key}' must be a string";
            if (name is not null) return $"QMP input member '{key}' clashes with '{name}'";
            name = key;
        }

        if (members.TryGetPropertyValue("arguments", out JsonNode? arguments) && arguments is not JsonObject)
        {
            return "QMP input member 'arguments' must be an object";
        }

        foreach (string key in members.Select(m => m.Key))
        {
            if (key is not ("execute" or "arguments" or "id") && !(key == "exec-oob" && outOfBandEnabled))
            {
                return $"QMP input member '{key}' is unexpected";
            }
        }

        return name is null ? "QMP input lacks member 'execute'" : null;
    }

    private static string? TextOf(JsonNode? value)
        => value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.String ? scalar.GetValue<string>() : null;
}
