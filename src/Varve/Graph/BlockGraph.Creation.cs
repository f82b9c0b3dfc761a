using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Graph;

internal sealed partial class BlockGraph
{
    /// <summary>A way to write and resize the node in which a format is being created. Needs <see cref="ControlLock"/>.</summary>
    /// <param name="file">What the creation options say: the name of a node, or a description to open.</param>
    /// <param name="read">Reads the other options: after the file is found, as the reference finds fault.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The backend, to be closed by the caller, and what was read.</returns>
    internal async ValueTask<(BlockBackend Backend, TOptions Options)> OpenForCreationAsync<TOptions>(
        JsonNode? file, Func<TOptions> read, CancellationToken cancellationToken)
    {
        BlockNode node;
        if (file is JsonObject description)
        {
            node = await OpenNodeAsync((JsonObject)description.DeepClone(), new OpenContext(), cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        else
        {
            node = LookUp(file is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : "");
            node.ExplicitReferences++;
        }

        try
        {
            TOptions options = read();
            BlockBackend backend = await OpenBackendAsync(
                node, BlockPermissions.Write | BlockPermissions.Resize, BlockPermissions.All, cancellationToken: cancellationToken).ConfigureAwait(false);
            return (backend, options);
        }
        finally
        {
            await ReleaseAsync(node).ConfigureAwait(false);
        }
    }
}
