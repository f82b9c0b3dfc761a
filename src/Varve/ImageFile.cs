using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve;

/// <summary>Creating an image in a file of its own: the file first, then the format in it.</summary>
internal static class ImageFile
{
    /// <summary>Creates the image. Takes the graph's control lock itself.</summary>
    public static async ValueTask CreateAsync(BlockGraph graph, string path, NewImage creation, CancellationToken cancellationToken)
    {
        BlockDriver driver = graph.Drivers.Find(creation.Format) is { IsFormat: true, CreateOptions: not null } found
            ? found
            : throw new BlockException(BlockErrorKind.Invalid, $"Unknown file format '{creation.Format}'");
        if (creation.BackingFile is not null && creation.BackingFormat is null)
        {
            throw new BlockException(BlockErrorKind.Invalid, "Backing file specified without backing format");
        }

        long size = creation.Size ?? await BackingSizeAsync(graph, path, creation, cancellationToken).ConfigureAwait(false);
        var options = new JsonObject { ["size"] = size };
        if (creation.BackingFile is not null)
        {
            options["backing-file"] = creation.BackingFile;
            options["backing-fmt"] = creation.BackingFormat;
        }

        if (creation.ClusterSize is { } clusterSize) options["cluster-size"] = clusterSize;
        await ImageCreation.CreateAsync(graph, driver, path, options, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask<long> BackingSizeAsync(BlockGraph graph, string path, NewImage creation, CancellationToken cancellationToken)
    {
        if (creation.BackingFile is null) throw new BlockException(BlockErrorKind.Invalid, "Image creation needs a size parameter");
        using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        string backing = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, creation.BackingFile);
        BlockNode node = await graph.OpenImageAsync(
            backing, new JsonObject { ["driver"] = creation.BackingFormat }, new OpenContext { NoBacking = true },
            new NodeSettings { ReadOnly = true }, cancellationToken).ConfigureAwait(false);
        long size = node.Length;
        await graph.ReleaseAsync(node).ConfigureAwait(false);
        return size;
    }
}
