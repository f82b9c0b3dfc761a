using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>blockdev-create</c>: creates an image in a job, which stays listed with its error until it is dismissed.</summary>
internal sealed class BlockdevCreate() : QmpCommand("blockdev-create", Required("job-id", Str), Required("options", BlockdevSchema.CreateOptions))
{
    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        BlockGraph graph = call.Context.Graph;
        JsonObject options = call.Object("options");
        BlockDriver? driver = graph.Drivers.Find((string)options["driver"]!);
        if (driver?.CreateOptions is null) throw new BlockException(BlockErrorKind.Unsupported, "Driver does not support blockdev-create");
        call.Context.Jobs.StartCreate(call.Text("job-id"), () => driver.CreateAsync(graph, options, CancellationToken.None).AsTask());
        return default;
    }
}
