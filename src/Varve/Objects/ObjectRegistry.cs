using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Tls;

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
        if (!IsIdentifier(id)) throw new BlockException(BlockErrorKind.Invalid, "Parameter 'id' expects an identifier")
        {
            Hint = "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.",
        };
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

    /// <summary>The credentials that an option names (<c>tls-creds</c>); null where none is named.</summary>
    /// <exception cref="BlockException">There are none of that id, or they are for the other side.</exception>
    public TlsCredentials? FindTls(string? id, bool isServer)
    {
        if (id is null) return null;
        TlsCredentials found = Find(id) switch
        {
            TlsCredentials credentials => credentials,
            null => throw new BlockException(BlockErrorKind.NotFound, $"No TLS credentials with id '{id}'"),
            _ => throw new BlockException(BlockErrorKind.NotFound, $"Object with id '{id}' is not TLS credentials"),
        };
        return found.IsServer == isServer
            ? found
            : throw new BlockException(BlockErrorKind.Invalid, $"Expected TLS credentials for a {(isServer ? "server" : "client")} endpoint");
    }

    /// <summary>Who decides about the clients of a server (<c>tls-authz</c>); null where nobody is named. Looked up for every client, as
    /// the object may come later than the server.</summary>
    public Authorizer? FindAuthorizer(string? id) => id is null ? null : Find(id) as Authorizer
        ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find QAuthZ object ID {id}");

    public void Dispose()
    {
        foreach (QomObject each in _objects.Values) each.Close();
        _objects.Clear();
    }

    private static bool IsIdentifier(string id)
        => id.Length > 0 && char.IsAsciiLetter(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
