using System.Text.Json.Nodes;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Events;

/// <summary>Events of jobs.</summary>
internal static class JobEvents
{
    private static readonly OptionMember[] s_progress =
    [
        Required("type", QmpTypes.JobType), Required("device", Str), Required("len", Int), Required("offset", Int), Required("speed", Int),
    ];

    /// <summary>Every transition of every job.</summary>
    public static QmpEventType StatusChange { get; } = new("JOB_STATUS_CHANGE", Required("id", Str), Required("status", QmpTypes.JobStatus));

    /// <summary>A block job ended; with <c>error</c> it failed.</summary>
    public static QmpEventType Completed { get; } = new("BLOCK_JOB_COMPLETED", [.. s_progress, Optional("error", Str)]);

    /// <summary>A block job was cancelled.</summary>
    public static QmpEventType Cancelled { get; } = new("BLOCK_JOB_CANCELLED", s_progress);

    /// <summary>A request of a block job failed.</summary>
    public static QmpEventType Error { get; } = new("BLOCK_JOB_ERROR",
        Required("device", Str), Required("operation", QmpTypes.IOOperation), Required("action", QmpTypes.ErrorAction));

    /// <summary>A block job may be completed now.</summary>
    public static QmpEventType Ready { get; } = new("BLOCK_JOB_READY", s_progress);

    /// <summary>A block job waits to be finalized.</summary>
    public static QmpEventType Pending { get; } = new("BLOCK_JOB_PENDING", Required("type", QmpTypes.JobType), Required("id", Str));

    /// <summary>What a job registry told, as QMP says it.</summary>
    public static QmpEvent From(JobEvent happened, TimeProvider time) => happened switch
    {
        JobStatusChange e => StatusChange.Now(new JsonObject { ["id"] = e.Id, ["status"] = e.Status.Name() }, time),
        BlockJobCompleted e => Completed.Now(Progress(e.Type, e.Device, e.Len, e.Offset, e.Speed, e.Error), time),
        BlockJobCancelled e => Cancelled.Now(Progress(e.Type, e.Device, e.Len, e.Offset, e.Speed), time),
        BlockJobReady e => Ready.Now(Progress(e.Type, e.Device, e.Len, e.Offset, e.Speed), time),
        BlockJobPending e => Pending.Now(new JsonObject { ["type"] = e.Type, ["id"] = e.Id }, time),
        BlockJobError e => Error.Now(
            new JsonObject { ["device"] = e.Device, ["operation"] = e.Operation, ["action"] = e.Action.Name() }, time),
        _ => throw new InvalidOperationException($"Job event {happened.Name} has no QMP form."),
    };

    private static JsonObject Progress(string type, string device, long length, long offset, long speed, string? error = null)
    {
        var data = new JsonObject { ["type"] = type, ["device"] = device, ["len"] = length, ["offset"] = offset, ["speed"] = speed };
        if (error is not null) data["error"] = error;
        return data;
    }
}
