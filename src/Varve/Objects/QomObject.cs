using System.Text.Json.Nodes;

namespace Varve.Objects;

/// <summary>An object of <c>object-add</c>: something that is neither node nor job, and that others refer to by id.</summary>
internal abstract class QomObject(string id)
{
    public string Id { get; } = id;

    /// <summary>The name of its type (<c>qom-type</c>).</summary>
    public abstract string TypeName { get; }

    /// <summary>What <c>qom-list</c> shows, without <c>type</c>.</summary>
    public abstract IReadOnlyList<QomProperty> Properties { get; }

    /// <summary>Whether somebody uses it, so that it cannot be removed.</summary>
    public virtual bool IsInUse => false;

    /// <summary>Releases what it holds, when it is removed.</summary>
    public virtual void Close() { }
}

/// <summary>A property of an object.</summary>
/// <param name="Name">As in <c>qom-get</c>.</param>
/// <param name="Type">The name of its type.</param>
/// <param name="Get">Its value now.</param>
/// <param name="Set">Changes it; null where it is fixed.</param>
internal sealed record QomProperty(string Name, string Type, Func<JsonNode?> Get, Action<JsonNode?>? Set = null);
