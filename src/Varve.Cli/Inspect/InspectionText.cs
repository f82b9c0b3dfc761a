using System.Text;
using System.Text.Json.Nodes;
using Varve.Cli.Output;

namespace Varve.Cli.Inspect;

/// <summary>An inspection as text and as JSON.</summary>
internal static class InspectionText
{
    /// <summary>A verdict as both outputs spell it.</summary>
    public static string Word(InspectionVerdict verdict) => verdict switch
    {
        InspectionVerdict.Safe => "safe",
        InspectionVerdict.RefersToFiles => "refers-to-files",
        InspectionVerdict.Suspicious => "suspicious",
        _ => "refused",
    };

    public static string ForPeople(string image, ImageInspection inspection)
    {
        var text = new StringBuilder();
        Line(text, $"image: {image}");
        Line(text, $"format: {inspection.Format}");
        Line(text, $"verdict: {Word(inspection.Verdict)}");
        if (inspection.VirtualSize is { } size) Line(text, $"virtual size: {HumanSize.Of(size)} ({size} bytes)");
        Line(text, $"file size: {HumanSize.Of(inspection.FileSize)} ({inspection.FileSize} bytes)");
        if (inspection.Features.Count > 0) text.Append("features:\n");
        foreach (InspectedFeature feature in inspection.Features) Line(text, $"    {feature.Group}: {feature.Name}");
        if (inspection.References.Count > 0) text.Append("refers to:\n");
        foreach (InspectedReference reference in inspection.References)
        {
            string format = reference.Format is null ? "" : $", format {reference.Format}";
            Line(text, $"    {reference.Role}: {(reference.Name.Length == 0 ? "(not named)" : reference.Name)} ({Word(reference.Kind)}{format})");
        }

        if (inspection.Findings.Count > 0) text.Append("findings:\n");
        foreach (InspectionFinding finding in inspection.Findings)
        {
            string more = finding.Count > 1 ? $" (and {finding.Count - 1} more)" : "";
            string weight = finding.Verdict == InspectionVerdict.Safe ? "note" : Word(finding.Verdict);
            Line(text, $"    {weight}: {finding.Message}{more}");
        }

        return text.ToString();
    }

    public static JsonObject ToJson(string image, ImageInspection inspection) => new()
    {
        ["filename"] = image,
        ["format"] = inspection.Format,
        ["verdict"] = Word(inspection.Verdict),
        ["findings"] = new JsonArray([.. inspection.Findings.Select(f => new JsonObject
        {
            ["verdict"] = Word(f.Verdict),
            ["code"] = f.Code,
            ["message"] = f.Message,
            ["count"] = f.Count,
        })]),
        ["references"] = new JsonArray([.. inspection.References.Select(r => new JsonObject
        {
            ["role"] = r.Role,
            ["name"] = r.Name,
            ["format"] = r.Format,
            ["kind"] = Word(r.Kind),
        })]),
        ["features"] = new JsonArray([.. inspection.Features.Select(f => new JsonObject
        {
            ["group"] = f.Group,
            ["bit"] = f.Bit,
            ["name"] = f.Name,
            ["known"] = f.IsKnown,
        })]),
        ["virtual-size"] = inspection.VirtualSize,
        ["file-size"] = inspection.FileSize,
        ["bytes-read"] = inspection.BytesRead,
        ["complete"] = inspection.IsComplete,
    };

    private static string Word(ReferenceKind kind) => kind switch
    {
        ReferenceKind.Path => "path",
        ReferenceKind.Protocol => "protocol",
        ReferenceKind.Json => "json",
        _ => "unnamed",
    };

    /// <summary>One line. What an image says must not steer a terminal, nor make a line of its own.</summary>
    private static void Line(StringBuilder text, string line)
    {
        foreach (Rune rune in line.EnumerateRunes())
        {
            if (Rune.IsControl(rune) || Rune.GetUnicodeCategory(rune) is System.Globalization.UnicodeCategory.Format
                or System.Globalization.UnicodeCategory.LineSeparator or System.Globalization.UnicodeCategory.ParagraphSeparator)
            {
                text.Append($"\\u{{{rune.Value:x}}}");
            }
            else
            {
                text.Append(rune);
            }
        }

        text.Append('\n');
    }
}
