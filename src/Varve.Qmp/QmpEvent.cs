using System.Text.Json.Nodes;

namespace Varve.Qmp;

/// <summary>Something the server tells every client: a job changed its status, an export went away.</summary>
/// <param name="Name">As on the wire: <c>JOB_STATUS_CHANGE</c>.</param>
/// <param name="Data">The event's members; null where it has none.</param>
/// <param name="Timestamp">When it happened, by the server's clock, to the microsecond.</param>
public sealed record QmpEvent(string Name, JsonObject? Data, DateTimeOffset Timestamp);
