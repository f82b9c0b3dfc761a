using System.Text.Json.Nodes;
using Varve.Creation;
using Varve.Graph;

namespace Varve.Cli.Images;

/// <summary>An image that takes what is written to another one, and is forgotten (<c>-s</c>).</summary>
internal static class TemporaryOverlay
{
    /// <summary>Opens a new qcow2 image above a node. Its name is gone once it is open, and its content once it is closed.</summary>
    /// <param name="graph">Where both are.</param>
    /// <param name="below">The caller's reference to it is taken over.</param>
    /// <param name="settings">Of the overlay.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The overlay; the caller holds a reference.</returns>
    public static async ValueTask<BlockNode> OpenAsync(
        BlockGraph graph, BlockNode below, NodeSettings settings, OpenContext context, CancellationToken cancellationToken)
    {
        string path = Path.Combine(Path.GetTempPath(), $"varve-{Guid.NewGuid():N}.qcow2");
        try
        {
            var request = new CreationRequest { Filename = path, Format = "qcow2", Size = below.Length };
            await ImageCreator.CreateAsync(graph, request, context, cancellationToken: cancellationToken).ConfigureAwait(false);
            var description = new JsonObject
            {
                ["driver"] = "qcow2",
                ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = path },
                ["backing"] = below.NodeName,
            };
            using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            BlockNode overlay = await graph.OpenImageAsync(null, description, context, settings, cancellationToken).ConfigureAwait(false);
            await graph.ReleaseAsync(below).ConfigureAwait(false);
            return overlay;
        }
        finally
        {
            File.Delete(path);
        }
    }
}
