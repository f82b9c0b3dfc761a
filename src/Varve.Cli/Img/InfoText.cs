using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Cli.Output;
using Varve.Options;

namespace Varve.Cli.Img;

/// <summary>Writes what <see cref="ImageInfo"/> found for people.</summary>
internal static class InfoText
{
    private const int IndentSize = 4;

    /// <summary>One image with all its children.</summary>
    public static void Write(TextWriter output, JsonObject info) => WriteNode(output, info, path: "/", indent: 0, isProtocol: false);

    private static void WriteNode(TextWriter output, JsonObject info, string path, int indent, bool isProtocol)
    {
        string margin = new(' ', indent * IndentSize);
        void Line(string text) => output.Write($"{margin}{text}\n");

        string size = $"{HumanSize.Of((long)info["virtual-size"]!)} ({(long)info["virtual-size"]!} bytes)";
        bool isChild = indent > 0;
        Line($"{(isChild ? "filename" : "image")}: {(string?)info["filename"]}");
        Line($"{(isProtocol ? "protocol type" : "file format")}: {(string?)info["format"]}");
        Line($"{(isProtocol ? "file length" : "virtual size")}: {size}");
        Line($"disk size: {((long?)info["actual-size"] is { } actual ? HumanSize.Of(actual) : "unavailable")}");
        if ((bool?)info["encrypted"] == true) Line("encrypted: yes");
        if ((long?)info["cluster-size"] is { } cluster) Line(string.Create(CultureInfo.InvariantCulture, $"cluster_size: {cluster}"));
        if ((bool?)info["dirty-flag"] == true) Line("cleanly shut down: no");
        if ((string?)info["backing-filename"] is { } backing) Line($"backing file: {backing}{ActualPath(backing, (string?)info["full-backing-filename"])}");
        if ((string?)info["backing-filename-format"] is { } format) Line($"backing file format: {format}");
        if (info["snapshots"] is JsonArray snapshots)
        {
            foreach (string line in SnapshotTable.Lines(snapshots)) Line(line);
        }

        if (info["format-specific"]?["data"] is JsonObject { Count: > 0 } specific)
        {
            WriteSpecific(output, specific, indent);
        }

        foreach (JsonNode? child in (JsonArray)info["children"]!)
        {
            string childPath = path + (string)child!["name"]!;
            var childInfo = (JsonObject)child["info"]!;
            output.Write($"Child node '{childPath}':\n");
            WriteNode(output, childInfo, childPath + "/", 1, IsProtocol(childInfo));
        }
    }

    /// <summary>What only this format knows.</summary>
    public static void WriteSpecific(TextWriter output, JsonObject specific, int indent = 0)
    {
        output.Write(new string(' ', indent * IndentSize) + "Format specific information:\n");
        WriteMembers(output, specific, indent + 1);
    }

    private static bool IsProtocol(JsonObject info)
        => Graph.BlockDrivers.Default.Find((string)info["format"]!) is { IsProtocol: true };

    private static string ActualPath(string recorded, string? full)
        => full is null ? " (cannot determine actual path)" : full == recorded ? "" : $" (actual path: {full})";

    private static void WriteMembers(TextWriter output, JsonObject members, int indent)
    {
        foreach ((string key, JsonNode? value) in JsonText.InOrder(members))
        {
            WriteValue(output, key.Replace('-', ' ') + ":", value, indent);
        }
    }

    private static void WriteValue(TextWriter output, string label, JsonNode? value, int indent)
    {
        output.Write(new string(' ', indent * IndentSize) + label);
        switch (value)
        {
            case JsonObject members:
                output.Write('\n');
                WriteMembers(output, members, indent + 1);
                break;
            case JsonArray items:
                output.Write('\n');
                for (int i = 0; i < items.Count; i++) WriteValue(output, $"[{i}]:", items[i], indent + 1);
                break;
            default:
                output.Write($" {Scalar(value)}\n");
                break;
        }
    }

    private static string Scalar(JsonNode? value)
        => value is JsonValue text && text.GetValueKind() == JsonValueKind.String ? text.GetValue<string>() : value?.ToJsonString() ?? "null";
}
