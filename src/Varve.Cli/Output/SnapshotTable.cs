using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Cli.Output;

/// <summary>The list of an image's snapshots as <c>snapshot -l</c> and <c>info</c> print it.</summary>
internal static class SnapshotTable
{
    /// <summary>Title, heads of the columns, and one line for each snapshot.</summary>
    /// <param name="snapshots">QMP's <c>SnapshotInfo</c> of each, as <see cref="BlockNode.GetInternalSnapshots"/> gives them.</param>
    public static IEnumerable<string> Lines(JsonArray snapshots)
    {
        yield return "Snapshot list:";
        yield return Row("ID", "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
        foreach (JsonNode? snapshot in snapshots) yield return RowOf(snapshot!);
    }

    private static string RowOf(JsonNode snapshot)
    {
        var clock = TimeSpan.FromSeconds((long)snapshot["vm-clock-sec"]!);
        string time = string.Create(
            CultureInfo.InvariantCulture,
            $"{(long)clock.TotalHours:00}:{clock.Minutes:00}:{clock.Seconds:00}.{(long)snapshot["vm-clock-nsec"]! / 1_000_000:000}");
        string date = DateTimeOffset.FromUnixTimeSeconds((long)snapshot["date-sec"]!).ToLocalTime()
            .ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);
        string count = (long?)snapshot["icount"] is { } instructions ? instructions.ToString(CultureInfo.InvariantCulture) : "";
        return Row((string)snapshot["id"]!, (string)snapshot["name"]!, HumanSize.Of((long)snapshot["vm-state-size"]!), date, time, count);
    }

    private static string Row(string id, string tag, string size, string date, string clock, string count)
        => $"{id,-9} {tag,-16} {size,8}{date,20}{clock,13}{count,11}";
}
