using System.Text.Json.Nodes;
using Varve.Options;
using Varve.Qmp.Schema;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>block-job-change</c>: changes the options of a running block job; only mirrors have any.</summary>
internal sealed class BlockJobChange() : QmpCommand("block-job-change", s_options)
{
    private static readonly EnumType s_copyMode = new("MirrorCopyMode", ["background", "write-blocking"]);

    private static readonly ObjectType s_options = new(
        "BlockJobChangeOptions",
        [Required("id", Str), Required("type", QmpTypes.JobType)],
        "type",
        new Dictionary<string, ObjectType> { ["mirror"] = new("BlockJobChangeOptionsMirror", [Required("copy-mode", s_copyMode)]) });

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.FindBlockJob(call.Text("id")).Change();
        return default;
    }
}
