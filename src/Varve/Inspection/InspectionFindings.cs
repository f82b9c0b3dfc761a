namespace Varve.Inspection;

/// <summary>Collects findings; the same one again is counted, so that a hostile image gets no endless report.</summary>
internal sealed class InspectionFindings
{
    private readonly Dictionary<string, InspectionFinding> _byCode = new(StringComparer.Ordinal);
    private readonly List<InspectedReference> _references = [];
    private readonly List<InspectedFeature> _features = [];

    public IReadOnlyList<InspectedReference> References => _references;

    public IReadOnlyList<InspectedFeature> Features => _features;

    /// <summary>The findings, worst first, each kind once.</summary>
    public IReadOnlyList<InspectionFinding> All => [.. _byCode.Values.OrderByDescending(f => f.Verdict)];

    /// <summary>A remark that changes no verdict.</summary>
    public void Note(string code, string message) => Add(InspectionVerdict.Safe, code, message);

    public void Suspicious(string code, string message) => Add(InspectionVerdict.Suspicious, code, message);

    public void Refused(string code, string message) => Add(InspectionVerdict.Refused, code, message);

    public void Feature(string group, int bit, string name, bool isKnown) => _features.Add(new(group, bit, name, isKnown));

    /// <summary>Another file the image names, and what is dangerous about the name.</summary>
    /// <param name="role"><c>backing</c>, <c>data-file</c>, <c>extent</c>.</param>
    /// <param name="name">As the image has it; null when it only says that there is one.</param>
    /// <param name="format">Its recorded format, or null.</param>
    public void Reference(string role, string? name, string? format)
    {
        ReferenceKind kind = name is null ? ReferenceKind.Unnamed
            : Graph.FileNames.IsJson(name) ? ReferenceKind.Json
            : Graph.FileNames.PrefixOf(name) is { } prefix && prefix != "file" ? ReferenceKind.Protocol
            : ReferenceKind.Path;
        if (_references.Count < MaxReferences) _references.Add(new(role, name ?? "", format, kind));
        Add(InspectionVerdict.RefersToFiles, role, name is null ? $"needs another file ({role}) that it does not name" : $"names another file ({role}): '{name}'");
        if (kind == ReferenceKind.Json) Suspicious(role + "-json", $"the {role} name is a json: description, which can mean any file, socket or device");
        if (kind == ReferenceKind.Protocol) Suspicious(role + "-protocol", $"the {role} name '{name}' is not a path but a protocol's");
        if (name is not null && name.Any(char.IsControl)) Suspicious(role + "-control-characters", $"the {role} name has control characters in it");
        if (kind == ReferenceKind.Path && (Graph.FileNames.IsAbsolute(name!) || name!.Split('/').Contains("..")))
        {
            Note(role + "-elsewhere", $"the {role} name leads out of the image's own directory");
        }
    }

    private const int MaxReferences = 64;

    private void Add(InspectionVerdict verdict, string code, string message)
        => _byCode[code] = _byCode.TryGetValue(code, out InspectionFinding? earlier)
            ? earlier with { Count = earlier.Count + 1 }
            : new InspectionFinding(verdict, code, message);
}
