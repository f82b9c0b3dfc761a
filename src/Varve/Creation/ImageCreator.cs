using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Creation;

/// <summary>What image to create, in the words of <c>img create</c>.</summary>
internal sealed record CreationRequest
{
    /// <summary>Where: a path, or a name with a protocol prefix.</summary>
    public required string Filename { get; init; }

    /// <summary>The driver.</summary>
    public required string Format { get; init; }

    /// <summary>The driver's options: <c>cluster_size=64k,compat=1.1</c>. Null: none.</summary>
    public string? Options { get; init; }

    /// <summary>Bytes; null: in the options, or the backing image's length.</summary>
    public long? Size { get; init; }

    /// <summary>Recorded verbatim; relative to the directory of <see cref="Filename"/>. Null: in the options, or none.</summary>
    public string? BackingFile { get; init; }

    public string? BackingFormat { get; init; }

    /// <summary>Do not open the backing image to see whether it can be, and how long it is.</summary>
    public bool IsBackingTrusted { get; init; }
}

/// <summary>Creates images from option lists, as the command line and <c>blockdev-snapshot-sync</c> do.</summary>
internal static class ImageCreator
{
    /// <summary>Creates an image. Takes the control lock itself, whenever it opens or closes a node.</summary>
    /// <param name="graph">Nodes needed on the way are opened in it, and closed again.</param>
    /// <param name="request">What to create.</param>
    /// <param name="context">Whether the backing image, and what it names, may be opened.</param>
    /// <param name="announce">Told what will be created, defaults included, before anything is written.</param>
    /// <param name="cancellationToken">Ends the creation.</param>
    /// <exception cref="BlockException">The message is the reference's, without the file name in front.</exception>
    public static async ValueTask CreateAsync(
        BlockGraph graph, CreationRequest request, OpenContext context, Action<string>? announce = null, CancellationToken cancellationToken = default)
    {
        (CreationFormat format, IReadOnlyList<CreationOption> options) = FindFormat(graph, request.Format, request.Filename);
        var values = new CreationOptionValues(options);
        if (request.Options is not null) values.SetAll(request.Options);
        if (request.Size is { } size)
        {
            if (values.Given("size") is not null) throw Invalid("The image size must be specified only once");
            values.Set("size", size.ToString(CultureInfo.InvariantCulture));
        }

        SetBacking(values, request);
        await CheckBackingAsync(graph, request, values, context, cancellationToken).ConfigureAwait(false);
        if (values.Given("size") is null && format.NeedsSize(values)) throw Invalid("Image creation needs a size parameter");

        announce?.Invoke($"Formatting '{request.Filename}', fmt={format.Name} {values.Describe()}");
        try
        {
            await format.CreateAsync(graph, request.Filename, values, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.TooLarge)
        {
            string advice = values.Knows("cluster_size") ? " (try using a larger cluster size)" : "";
            throw new BlockException(e.Kind, $"The image size is too large for file format '{format.Name}'{advice}", e);
        }
    }

    /// <summary>The format of a driver, and its options together with those of the protocol that <paramref name="filename"/> selects.</summary>
    /// <param name="graph">Knows the drivers.</param>
    /// <param name="name">The driver.</param>
    /// <param name="filename">Null: the format's options alone.</param>
    /// <exception cref="BlockException">There is no such driver, or it cannot create.</exception>
    public static (CreationFormat Format, IReadOnlyList<CreationOption> Options) FindFormat(BlockGraph graph, string name, string? filename)
    {
        if (graph.Drivers.Find(name) is null) throw Invalid($"Unknown file format '{name}'");
        CreationFormat? format = CreationFormat.Find(name);
        if (filename is null)
        {
            return (format ?? throw CannotCreate("Format", name), format.Options);
        }

        BlockDriver protocol = graph.DriverOfName(filename);
        if (format is null) throw CannotCreate("Format", name);
        CreationFormat below = CreationFormat.Find(protocol.Name) ?? throw CannotCreate("Protocol", protocol.Name);
        return (format, CreationOptionValues.Merge(format.Options, below.Options));
    }

    private static void SetBacking(CreationOptionValues values, CreationRequest request)
    {
        if (request.BackingFile is not null)
        {
            if (!values.Knows("backing_file")) throw Invalid($"Backing file not supported for file format '{request.Format}'");
            values.Set("backing_file", request.BackingFile);
        }

        if (request.BackingFormat is not null)
        {
            if (!values.Knows("backing_fmt")) throw Invalid($"Backing file format not supported for file format '{request.Format}'");
            values.Set("backing_fmt", request.BackingFormat);
        }
    }

    private static async ValueTask CheckBackingAsync(
        BlockGraph graph, CreationRequest request, CreationOptionValues values, OpenContext context, CancellationToken cancellationToken)
    {
        if (values.Given("backing_file") is not { } backingFile) return;
        if (backingFile.Length == 0) throw Invalid("Expected backing file name, got empty string");
        if (backingFile == request.Filename) throw Invalid("Error: Trying to create an image with the same filename as the backing file");
        string? format = values.Given("backing_fmt");
        if (request.IsBackingTrusted)
        {
            if (format is null && values.Given("size") is not null) throw Invalid("Backing file specified without backing format");
            return;
        }

        using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode backing = await OpenBackingAsync(graph, FileNames.Resolve(request.Filename, backingFile), format, context, cancellationToken)
            .ConfigureAwait(false);
        try
        {
            if (format is null)
            {
                throw new BlockException(BlockErrorKind.Invalid, "Backing file specified without backing format")
                {
                    Hint = $"Detected format of {backing.Driver.Name}.",
                };
            }

            if (values.Given("size") is null) values.Set("size", backing.Length.ToString(CultureInfo.InvariantCulture));
        }
        finally
        {
            await graph.ReleaseAsync(backing).ConfigureAwait(false);
        }
    }

    private static async ValueTask<BlockNode> OpenBackingAsync(
        BlockGraph graph, string name, string? format, OpenContext context, CancellationToken cancellationToken)
    {
        try
        {
            var options = new JsonObject();
            if (format is not null) options["driver"] = format;
            return await graph.OpenImageAsync(name, options, context with { NoIO = true }, new NodeSettings { ReadOnly = true }, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, e.Message, e) { Hint = (e.Hint is null ? "" : e.Hint + "\n") + "Could not open backing image.", Errno = e.Errno };
        }
    }

    private static BlockException CannotCreate(string what, string name)
        => new(BlockErrorKind.Unsupported, $"{what} driver '{name}' does not support image creation");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
