using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>x-blockdev-amend</c>: changes options of an image in a job, which stays listed with its error until it is dismissed.</summary>
internal sealed class BlockdevAmend() : QmpCommand(
    "x-blockdev-amend", Required("job-id", Str), Required("node-name", Str), Required("options", BlockdevSchema.AmendOptions), Optional("force", Bool))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        JsonObject options = call.Object("options");
        string name = call.Text("node-name");
        BlockNode node = graph.FindNode(name)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"Cannot find device='' nor node-name='{name}'");
        if (node.Driver.AmendOptions is null) throw new BlockException(BlockErrorKind.Unsupported, "Driver does not support x-blockdev-amend");
        if (node.Driver.Name != (string?)options["driver"])
        {
            throw new BlockException(BlockErrorKind.Invalid, "x-blockdev-amend doesn't support changing the block driver");
        }

        var amended = (JsonObject)options.DeepClone();
        amended.Remove("driver");
        call.Context.Jobs.StartAmend(call.Text("job-id"), node, new AmendRequest(amended) { IsForced = call.Flag("force") });
        return default;
    }
}
