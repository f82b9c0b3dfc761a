using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <summary>Creates an image by file name: the file by its protocol, then the format in it.</summary>
internal static class ImageCreation
{
    /// <summary>Creates <paramref name="filename"/>, replacing what was there. Takes <see cref="BlockGraph.ControlLock"/> itself.</summary>
    /// <param name="graph">Where the file is opened meanwhile.</param>
    /// <param name="format">Its format.</param>
    /// <param name="filename">A path or a prefixed name.</param>
    /// <param name="options">The format's <see cref="BlockDriver.CreateOptions"/> without <c>file</c>; consumed.</param>
    /// <param name="cancellationToken">Ends it, leaving the file unfinished.</param>
    public static async ValueTask CreateAsync(
        BlockGraph graph, BlockDriver format, string filename, JsonObject options, CancellationToken cancellationToken)
    {
        BlockDriver protocol = graph.DriverOfName(filename);
        JsonObject file = protocol.ParseFilename(filename);
        file["driver"] = protocol.Name;
        file["size"] = 0L;
        await protocol.CreateAsync(graph, file, cancellationToken).ConfigureAwait(false);

        BlockNode node;
        using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            node = await graph.OpenDescribedAsync(filename, [], isProtocolLayer: true, new OpenContext(), new NodeSettings(), cancellationToken)
                .ConfigureAwait(false);
        }

        try
        {
            options["driver"] = format.Name;
            options["file"] = node.NodeName;
            await format.CreateAsync(graph, options, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
            {
                await graph.ReleaseAsync(node).ConfigureAwait(false);
            }
        }
    }
}
