using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using Varve.Tls;

namespace Varve.Objects;

/// <summary>A type of object: its name in <c>qom-type</c>, its members, and how one is made.</summary>
/// <param name="Name">As in QMP's <c>ObjectType</c>.</param>
/// <param name="Options">Its own members of <c>ObjectOptions</c>.</param>
/// <param name="Create">Makes one of an id and checked options; throws <see cref="BlockException"/> to refuse them.</param>
internal sealed record ObjectKind(string Name, ObjectType Options, Func<string, JsonObject, BlockGraph, QomObject> Create)
{
    /// <summary>All types, in the order help lists them.</summary>
    public static IReadOnlyList<ObjectKind> All { get; } =
    [
        new("authz-list", AuthorizationRules.Type, (id, options, _) => new AuthzList(id, options)),
        new("authz-list-file", AuthzListFile.Options, (id, options, _) => new AuthzListFile(id, options)),
        new("authz-simple", AuthzSimple.Options, (id, options, _) => new AuthzSimple(id, options)),
        new("iothread", IOThread.Options, (id, options, _) => new IOThread(id, options)),
        new("secret", Secret.Options, (id, options, graph) => new Secret(id, options, graph.Objects)),
        new("throttle-group", ThrottleGroupObject.Options, (id, options, graph) => new ThrottleGroupObject(id, options, graph.ThrottleGroups)),
        new("tls-creds-anon", TlsAnonCredentials.Options, (id, options, _) => new TlsAnonCredentials(id, options)),
        new("tls-creds-psk", TlsPskCredentials.Options, (id, options, _) => new TlsPskCredentials(id, options)),
        new("tls-creds-x509", TlsX509Credentials.Options, (id, options, graph) => new TlsX509Credentials(id, options, graph.Objects, graph.Time)),
    ];

    public static ObjectKind? Find(string name) => All.FirstOrDefault(k => k.Name == name);
}
