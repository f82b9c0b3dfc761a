using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Qmp.Events;

/// <summary>The declaration of an event: its name and what its data holds.</summary>
internal sealed class QmpEventType(string name, params IReadOnlyList<OptionMember> members)
{
    public string Name { get; } = name;

    public ObjectType Data { get; } = new(name + "-arg", members);

    /// <summary>All events, for introspection.</summary>
    public static IReadOnlyList<QmpEventType> All { get; } =
    [
        BlockEvents.ImageCorrupted, BlockEvents.IOError, BlockEvents.ExportDeleted,
        BlockEvents.QuorumFailure, BlockEvents.QuorumReportBad,
        JobEvents.StatusChange, JobEvents.Completed, JobEvents.Cancelled, JobEvents.Error, JobEvents.Ready, JobEvents.Pending,
    ];

    /// <summary>An event of this type, now.</summary>
    public QmpEvent Now(JsonObject data, TimeProvider time) => new(Name, data, time.GetUtcNow());
}
