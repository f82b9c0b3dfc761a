using System.Text.Json.Nodes;
using Varve.Objects;

namespace Varve.Qmp.Server;

/// <summary>The tree of objects that <c>qom-list</c>, <c>qom-get</c> and <c>qom-set</c> walk.</summary>
internal sealed class QomTree(ObjectRegistry objects)
{
    private const string Root = "/objects";

    /// <summary><c>qom-list</c>: names and types of what is at a path.</summary>
    public IReadOnlyList<(string Name, string Type)> List(string path)
    {
        if (path is "/") return [("type", "string"), ("objects", "child<container>")];
        if (path.TrimEnd('/') is Root or "objects")
        {
            return [("type", "string"), .. objects.All.Select(o => (o.Id, $"child<{o.TypeName}>"))];
        }

        return [("type", "string"), .. Resolve(path).Properties.Select(p => (p.Name, p.Type))];
    }

    public JsonNode? Get(string path, string property)
    {
        QomObject found = Resolve(path);
        return property == "type" ? found.TypeName : PropertyOf(found, property).Get();
    }

    public void Set(string path, string property, JsonNode? value)
    {
        QomObject found = Resolve(path);
        QomProperty target = PropertyOf(found, property);
        if (target.Set is null) throw new BlockException(BlockErrorKind.Invalid, $"Property '{found.TypeName}.{property}' is not writable");
        target.Set(value);
    }

    /// <summary>The object at <c>/objects/ID</c>, <c>objects/ID</c> or <c>ID</c>.</summary>
    private QomObject Resolve(string path)
    {
        if (path.Length == 0) throw QmpException.Generic("Path '' is ambiguous");
        string trimmed = path.TrimEnd('/'), relative = trimmed.TrimStart('/');
        string id = relative.StartsWith("objects/", StringComparison.Ordinal) ? relative["objects/".Length..]
            : trimmed == relative ? relative : "";
        return objects.Find(id) ?? throw new QmpException(QmpException.DeviceNotFound, $"Device '{path}' not found");
    }

    private static QomProperty PropertyOf(QomObject found, string property)
        => found.Properties.FirstOrDefault(p => p.Name == property)
           ?? throw QmpException.Generic($"Property '{found.TypeName}.{property}' not found");
}
