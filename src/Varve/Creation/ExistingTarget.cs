using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;
using static Varve.Creation.CreationOptionType;

namespace Varve.Creation;

/// <summary>A protocol that makes nothing: images are put into what is there already, a device or another host's export.</summary>
internal sealed class ExistingTarget(string driver) : CreationFormat
{
    public override string Name { get; } = driver;

    public override IReadOnlyList<CreationOption> Options { get; } =
    [
        new("size", Size, "Virtual disk size"),
        new("preallocation", Text, "Preallocation mode (allowed values: off)"),
    ];

    public override ValueTask CreateAsync(BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
        => PrepareAsync(graph, graph.Drivers.Find(Name)!, filename, long.Parse(values["size"] ?? "0", CultureInfo.InvariantCulture), values["preallocation"], cancellationToken);

    /// <summary>Sees that what is there is long enough, and takes the first sector's old content away, which would be taken for a format.</summary>
    /// <exception cref="BlockException">It cannot be opened, or is too short.</exception>
    public static async ValueTask PrepareAsync(
        BlockGraph graph, BlockDriver protocol, string filename, long size, string? preallocation, CancellationToken cancellationToken)
    {
        if (preallocation is not (null or "off"))
        {
            throw new BlockException(BlockErrorKind.Unsupported, $"Unsupported preallocation mode '{preallocation}'");
        }

        BlockBackend target = await OpenAsync(graph, protocol, filename, cancellationToken).ConfigureAwait(false);
        try
        {
            if (!target.Node.HasMedium) throw new BlockException(BlockErrorKind.NotFound, "No medium inserted") { Errno = Errno.ENOMEDIUM };
            if (size > target.Length) throw new BlockException(BlockErrorKind.Unsupported, $"Cannot grow {Kind(protocol)}");
            int first = (int)Math.Min(target.Length, Align.SectorSize);
            if (first > 0) await target.WriteZeroesAsync(0, first, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            using IDisposable held = await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false);
            await target.CloseAsync().ConfigureAwait(false);
        }
    }

    private static string Kind(BlockDriver protocol) => protocol.Name == "nbd" ? "NBD nodes" : "device files";

    private static async ValueTask<BlockBackend> OpenAsync(BlockGraph graph, BlockDriver protocol, string filename, CancellationToken cancellationToken)
    {
        using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode node;
        try
        {
            JsonObject options = protocol.ParseFilename(filename);
            options["driver"] = protocol.Name;
            node = await graph.OpenNodeAsync(options, new OpenContext(), cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            string message = $"Protocol driver '{protocol.Name}' does not support image creation, and opening the image failed: {e.Message}";
            throw new BlockException(e.Kind, message, e) { Errno = e.Errno, Hint = e.Hint };
        }

        try
        {
            return await graph.OpenBackendAsync(
                node, BlockPermissions.Write | BlockPermissions.Resize, BlockPermissions.All, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            await graph.ReleaseAsync(node).ConfigureAwait(false);
        }
    }
}
