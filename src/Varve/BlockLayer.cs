using System.Text.Json.Nodes;
using Varve.Creation;
using Varve.Graph;
using Varve.Jobs;

namespace Varve;

/// <summary>A block layer of your program's own: the disks it has open, the images they stand on, the jobs that reshape their chains.</summary>
/// <remarks>Thread-safe. Two layers share nothing but what the operating system's file locks tell them of each other.</remarks>
public sealed class BlockLayer : IAsyncDisposable
{
    private int _streams;

    /// <summary>A layer with nothing open.</summary>
    public BlockLayer() => Jobs = new JobRegistry(Graph);

    internal BlockGraph Graph { get; } = new();

    internal JobRegistry Jobs { get; }

    /// <summary>Opens a disk image, and the chain below it as far as <see cref="DiskOpening.References"/> allows.</summary>
    /// <param name="fileName">A path, or a name with a protocol prefix, or <c>json:{...}</c> in the form of QMP's blockdev-add.</param>
    /// <param name="opening">How it is opened; null opens it read-only, following no name inside it.</param>
    /// <param name="cancellationToken">Ends the opening; what was opened by then is closed.</param>
    /// <exception cref="BlockException">The image or one it needs cannot be opened; the message names it and why. <c>InUse</c>: another
    /// process holds it. <c>Denied</c>: the reference policy forbids a name. <c>Corrupt</c>: its metadata is refused.</exception>
    public async ValueTask<VirtualDisk> OpenAsync(string fileName, DiskOpening? opening = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(fileName);
        opening ??= new DiskOpening();
        JsonObject? options = opening.Format is null ? null : new JsonObject { ["driver"] = opening.Format };
        var settings = new NodeSettings
        {
            ReadOnly = !opening.Writable,
            CacheDirect = opening.DirectIO,
            Discard = opening.Discard,
            ForceShare = opening.ForceShare,
        };

        using IDisposable held = await Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode node = await Graph.OpenImageAsync(
            fileName, options, new OpenContext { References = opening.References }, settings, cancellationToken).ConfigureAwait(false);
        try
        {
            BlockPermissions needed = BlockPermissions.ConsistentRead | (opening.Writable ? BlockPermissions.Write : BlockPermissions.None);
            BlockBackend backend = await Graph.OpenBackendAsync(
                node, needed, BlockPermissions.All & ~BlockPermissions.Resize, "an opened disk", cancellationToken).ConfigureAwait(false);
            return new VirtualDisk(this, backend);
        }
        finally
        {
            await Graph.ReleaseAsync(node).ConfigureAwait(false);
        }
    }

    /// <summary>Creates an image file, replacing what is there.</summary>
    /// <param name="path">Where.</param>
    /// <param name="image">What.</param>
    /// <param name="cancellationToken">Ends the creation; a file half made is left behind.</param>
    /// <returns>Done when the image can be opened.</returns>
    /// <exception cref="BlockException">An option is refused, the backing image cannot be opened, or the file cannot be written.</exception>
    public async ValueTask CreateAsync(string path, NewImage image, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(image);
        var request = new CreationRequest
        {
            Filename = path,
            Format = image.Format,
            Size = image.Size,
            BackingFile = image.BackingFile,
            BackingFormat = image.BackingFormat,
            Options = image.ClusterSize is { } clusterSize ? $"cluster_size={clusterSize}" : null,
        };
        await ImageCreator.CreateAsync(Graph, request, new OpenContext { NoBacking = true }, cancellationToken: cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Cancels the jobs that run and closes everything that is open: caches written back, images marked clean.</summary>
    public async ValueTask DisposeAsync()
    {
        await Jobs.CancelAllAsync().ConfigureAwait(false);
        await Graph.DisposeAsync().ConfigureAwait(false);
    }

    internal string NextStreamId() => $"stream{Interlocked.Increment(ref _streams)}";
}
