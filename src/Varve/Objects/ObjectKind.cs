using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

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
        new("iothread", IOThread.Options, (id, options, _) => new IOThread(id, options)),
        new("secret", Secret.Options, (id, options, graph) => new Secret(id, options, graph.Objects)),
        new("throttle-group", ThrottleGroupObject.Options, (id, options, graph) => new ThrottleGroupObject(id, options, graph.ThrottleGroups)),
    ];

    public static ObjectKind? Find(string name) => All.FirstOrDefault(k => k.Name == name);
}
