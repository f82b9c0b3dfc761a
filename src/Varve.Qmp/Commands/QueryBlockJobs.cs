using System.Text.Json.Nodes;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-block-jobs</c>: all block jobs, newest first.</summary>
internal sealed class QueryBlockJobs() : QmpCommand("query-block-jobs")
{
    private static readonly ObjectType s_info = new("BlockJobInfo",
        [
            Required("type", QmpTypes.JobType), Required("device", Str), Required("len", Int), Required("offset", Int), Required("busy", Bool),
            Required("paused", Bool), Required("speed", Int), Required("io-status", QmpTypes.IOStatus), Required("ready", Bool),
            Required("status", QmpTypes.JobStatus), Required("auto-finalize", Bool), Required("auto-dismiss", Bool), Optional("error", Str),
        ],
        "type",
        new Dictionary<string, ObjectType> { ["mirror"] = new("BlockJobInfoMirror", [Required("actively-synced", Bool)]) });

    public override OptionType Returns => s_info.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Jobs.Jobs.OfType<BlockJob>().Select(j => (JsonNode)Describe(j.GetBlockJobInfo()))]));
    }

    private static JsonObject Describe(BlockJobInfo job)
    {
        var info = new JsonObject
        {
            ["type"] = job.Type,
            ["device"] = job.Device,
            ["len"] = job.Len,
            ["offset"] = job.Offset,
            ["busy"] = job.Busy,
            ["paused"] = job.Paused,
            ["speed"] = job.Speed,
            ["io-status"] = job.IOStatus.Name(),
            ["ready"] = job.Ready,
            ["status"] = job.Status.Name(),
            ["auto-finalize"] = job.AutoFinalize,
            ["auto-dismiss"] = job.AutoDismiss,
        };
        if (job.Error is not null) info["error"] = job.Error;
        return info;
    }
}
