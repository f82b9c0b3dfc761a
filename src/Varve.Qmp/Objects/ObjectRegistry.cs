using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Qmp.Objects;

/// <summary>The objects of a host, by id. Used under the control lock.</summary>
internal sealed class ObjectRegistry(BlockGraph graph) : IDisposable
{
    private const string Root = "/objects";

    private readonly Dictionary<string, QomObject> _objects = new(StringComparer.Ordinal);

    public QomObject? Find(string id) => _objects.GetValueOrDefault(id);

    /// <summary>Makes an object of options that are checked against <see cref="ObjectOptions.Type"/>.</summary>
    /// <exception cref="BlockException">The id is malformed or taken, or the options contradict each other.</exception>
    public void Add(JsonObject options)
    {
        string id = (string)options["id"]!;
        if (!IsIdentifier(id)) throw new BlockException(BlockErrorKind.Invalid, "Parameter 'id' expects an identifier");
        if (_objects.ContainsKey(id))
        {
            throw new BlockException(BlockErrorKind.InUse, $"attempt to add duplicate property '{id}' to object (type 'container')");
        }

        _objects.Add(id, (string)options["qom-type"]! switch
        {
            "iothread" => new IOThread(id, options),
            "secret" => new Secret(id, options, Find),
            "throttle-group" => new ThrottleGroupObject(id, options, graph.ThrottleGroups),
            var type => throw new BlockException(BlockErrorKind.Unsupported, $"invalid object type: {type}"),
        });
    }

    public void Remove(string id)
    {
        QomObject found = Find(id) ?? throw new BlockException(BlockErrorKind.NotFound, $"object '{id}' not found");
        if (found.IsInUse) throw new BlockException(BlockErrorKind.InUse, $"object '{id}' is in use, can not be deleted");
        _objects.Remove(id);
        found.Close();
    }

    /// <summary><c>tls-creds</c> of a server: there are no such objects, so naming one is an error.</summary>
    public void CheckTls(string? id)
    {
        if (id is null) return;
        throw new BlockException(BlockErrorKind.NotFound, Find(id) is null
            ? $"No TLS credentials with id '{id}'"
            : $"Object with id '{id}' is not TLS credentials");
    }

    /// <summary><c>qom-list</c>: names and types of what is at a path.</summary>
    public IReadOnlyList<(string Name, string Type)> List(string path)
    {
        if (path is "/") return [("type", "string"), ("objects", "child<container>")];
        if (path.TrimEnd('/') is Root or "objects")
        {
            return [("type", "string"), .. _objects.Values.Select(o => (o.Id, $"child<{o.TypeName}>"))];
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

    public void Dispose()
    {
        foreach (QomObject each in _objects.Values) each.Close();
        _objects.Clear();
    }

    /// <summary>The object at <c>/objects/ID</c>, <c>objects/ID</c> or <c>ID</c>.</summary>
    private QomObject Resolve(string path)
    {
        if (path.Length == 0) throw QmpException.Generic("Path '' is ambiguous");
        string trimmed = path.TrimEnd('/'), relative = trimmed.TrimStart('/');
        string id = relative.StartsWith("objects/", StringComparison.Ordinal) ? relative["objects/".Length..]
            : trimmed == relative ? relative : "";
        return Find(id) ?? throw new QmpException(QmpException.DeviceNotFound, $"Device '{path}' not found");
    }

    private static QomProperty PropertyOf(QomObject found, string property)
        => found.Properties.FirstOrDefault(p => p.Name == property)
           ?? throw QmpException.Generic($"Property '{found.TypeName}.{property}' not found");

    private static bool IsIdentifier(string id)
        => id.Length > 0 && char.IsAsciiLetter(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
