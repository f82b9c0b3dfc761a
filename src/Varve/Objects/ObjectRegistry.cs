using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Objects;

/// <summary>The objects of a graph, by id: what nodes, exports and tools refer to. Used under the control lock.</summary>
internal sealed class ObjectRegistry(BlockGraph graph) : IDisposable
{
    private readonly Dictionary<string, QomObject> _objects = new(StringComparer.Ordinal);

    /// <summary>Every object, oldest first.</summary>
    public IReadOnlyCollection<QomObject> All => _objects.Values;

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

        string type = (string)options["qom-type"]!;
        ObjectKind kind = ObjectKind.Find(type) ?? throw new BlockException(BlockErrorKind.Unsupported, $"invalid object type: {type}");
        _objects.Add(id, kind.Create(id, options, graph));
    }

    public void Remove(string id)
    {
        QomObject found = Find(id) ?? throw new BlockException(BlockErrorKind.NotFound, $"object '{id}' not found");
        if (found.IsInUse) throw new BlockException(BlockErrorKind.InUse, $"object '{id}' is in use, can not be deleted");
        _objects.Remove(id);
        found.Close();
    }

    /// <summary>The secret that a driver's option names (<c>key-secret</c>, <c>keyid</c>).</summary>
    /// <exception cref="BlockException">There is none of that id, or it is something else.</exception>
    public Secret FindSecret(string id) => Find(id) switch
    {
        Secret secret => secret,
        null => throw new BlockException(BlockErrorKind.Invalid, $"No secret with id '{id}'"),
        _ => throw new BlockException(BlockErrorKind.Invalid, $"Object with id '{id}' is not a secret"),
    };

    /// <summary><c>tls-creds</c> of a server: there are no such objects, so naming one is an error.</summary>
    public void CheckTls(string? id)
    {
        if (id is null) return;
        throw new BlockException(BlockErrorKind.NotFound, Find(id) is null
            ? $"No TLS credentials with id '{id}'"
            : $"Object with id '{id}' is not TLS credentials");
    }

    public void Dispose()
    {
        foreach (QomObject each in _objects.Values) each.Close();
        _objects.Clear();
    }

    private static bool IsIdentifier(string id)
        => id.Length > 0 && char.IsAsciiLetter(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
