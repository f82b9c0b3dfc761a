using System.Text.Json.Nodes;
using Varve.Jobs;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-jobs</c>: all jobs, newest first.</summary>
internal sealed class QueryJobs() : QmpCommand("query-jobs")
{
    private static readonly ObjectType s_info = new("JobInfo",
    [
        Required("id", Str), Required("type", QmpTypes.JobType), Required("status", QmpTypes.JobStatus), Required("current-progress", Int),
        Required("total-progress", Int), Optional("error", Str),
    ]);

    public override OptionType Returns => s_info.List;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        return new(new JsonArray([.. call.Context.Jobs.Jobs.Select(j => (JsonNode)Describe(j.GetInfo()))]));
    }

    private static JsonObject Describe(JobInfo job)
    {
        var info = new JsonObject
        {
            ["id"] = job.Id,
            ["type"] = job.Type,
            ["status"] = job.Status.Name(),
            ["current-progress"] = job.CurrentProgress,
            ["total-progress"] = job.TotalProgress,
        };
        if (job.Error is not null) info["error"] = job.Error;
        return info;
    }
}
