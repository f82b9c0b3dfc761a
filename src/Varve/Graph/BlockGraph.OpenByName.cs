using System.Buffers;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <content>From a name to a driver: prefixes, <c>json:</c>, guessing by content.</content>
internal sealed partial class BlockGraph
{
    private const string File = "file", DriverOption = "driver", FilenameOption = "filename", MustSpecify = "Must specify either driver or file";

    /// <summary>Opens the node that a name, options or both describe.</summary>
    /// <param name="filename">A name; null where the options say all.</param>
    /// <param name="options">Consumed.</param>
    /// <param name="isProtocolLayer">Below a format: a name is the protocol's, nothing is guessed.</param>
    /// <param name="context">Whose names may be followed.</param>
    /// <param name="inherited">What the common options start from.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    internal async ValueTask<BlockNode> OpenDescribedAsync(
        string? filename, JsonObject options, bool isProtocolLayer, OpenContext context, NodeSettings inherited, CancellationToken cancellationToken)
    {
        if (filename is not null && FileNames.IsJson(filename))
        {
            AddMissing(options, ParseJsonName(filename));
            filename = null;
        }

        BlockDriver? driver = TakeDriver(options);
        if (driver is null && filename is null && options.Remove(FilenameOption, out JsonNode? named)) filename = OptionChecker.TextOf(named);
        if (filename is not null)
        {
            if (driver is null && isProtocolLayer) driver = DriverOfName(filename);
            if (driver is { IsProtocol: true }) AddMissing(options, driver.ParseFilename(filename));
            else PutFile(options, filename);
        }

        if (driver is null && (isProtocolLayer || !options.ContainsKey(File))) throw new BlockException(BlockErrorKind.Invalid, MustSpecify);

        string name = TakeNodeName(options);
        BlockDriver standIn = driver ?? Drivers.Find("raw") ?? throw new BlockException(BlockErrorKind.Invalid, MustSpecify);
        var opening = new NodeOpening(this, standIn, name, inherited, options)
        {
            Context = context,
            Filename = filename,
            IsProtocolLayer = isProtocolLayer,
            IsProbed = driver is null,
        };
        opening.TakeSettings();
        if (driver is null) opening = await ProbeAsync(opening, cancellationToken).ConfigureAwait(false);
        return await OpenWithDriverAsync(opening, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The path of a name that means a plain file, its prefix removed; null for every other name.</summary>
    internal string? PlainPathOf(string name)
    {
        if (FileNames.IsJson(name)) return null;
        string? prefix = FileNames.PrefixOf(name);
        if (prefix is null) return name;
        return prefix == File && Drivers.FindByPrefix(File) is { } file ? OptionChecker.TextOf(file.ParseFilename(name)[FilenameOption]) : null;
    }

    /// <summary>Opens the file below an image of unknown format and looks who knows its first bytes.</summary>
    private async ValueTask<NodeOpening> ProbeAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        JsonNode? description = opening.TakeChild(File);
        BlockNode file = await OpenChildNodeAsync(opening, description, ChildRole.Image, cancellationToken).ConfigureAwait(false);
        try
        {
            string filename = opening.Filename ?? file.Filename;
            BlockDriver driver = await GuessAsync(file, filename, cancellationToken).ConfigureAwait(false);
            if (driver.Name == "raw" && !opening.Settings.ReadOnly) opening.Context.Warn?.Invoke(ImageProbe.RawWarning(filename));
            return new NodeOpening(this, driver, opening.NodeName, opening.Settings, opening.Options)
            {
                Context = opening.Context,
                Filename = opening.Filename,
                IsProtocolLayer = opening.IsProtocolLayer,
                IsProbed = true,
                ProbedFile = file,
            };
        }
        catch
        {
            await ReleaseAsync(file).ConfigureAwait(false);
            throw;
        }
    }

    private async ValueTask<BlockDriver> GuessAsync(BlockNode file, string filename, CancellationToken cancellationToken)
    {
        if (!file.HasMedium && Drivers.Find("raw") is { } raw) return raw;
        byte[] head = ArrayPool<byte>.Shared.Rent(ImageProbe.HeadLength);
        try
        {
            int length = (int)Math.Min(file.Length, ImageProbe.HeadLength);
            await file.ReadAsync(0, head.AsMemory(0, length), cancellationToken).ConfigureAwait(false);
            return ImageProbe.Guess(Drivers, head.AsSpan(0, length), filename)
                ?? throw new BlockException(BlockErrorKind.Unsupported, "Could not determine image format: No compatible driver found");
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Io)
        {
            throw new BlockException(e.Kind, $"Could not read image for determining its format: {e.Message}", e) { Errno = e.Errno };
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(head);
        }
    }

    private BlockDriver? TakeDriver(JsonObject options)
    {
        if (!options.Remove(DriverOption, out JsonNode? value)) return null;
        string name = OptionChecker.TextOf(value)
            ?? throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter type for '{DriverOption}', expected: string");
        return Drivers.Find(name) ?? throw new BlockException(BlockErrorKind.Invalid, $"Unknown driver '{name}'");
    }

    internal BlockDriver DriverOfName(string filename)
    {
        string? prefix = FileNames.PrefixOf(filename);
        if (prefix is null && Drivers.FindForDevice(filename) is { } device) return device;
        prefix ??= File;
        return Drivers.FindByPrefix(prefix) ?? throw new BlockException(BlockErrorKind.Invalid, $"Unknown protocol '{prefix}'");
    }

    private static JsonObject ParseJsonName(string filename)
    {
        JsonNode? parsed;
        try
        {
            parsed = LenientJson.Parse(filename.AsSpan(FileNames.JsonPrefix.Length));
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, $"Could not parse the JSON options: {e.Message}", e);
        }

        return parsed is JsonObject options
            ? DottedKeys.Nest(options)
            : throw new BlockException(BlockErrorKind.Invalid, "Invalid JSON object given");
    }

    /// <summary>Makes a name the file child of an image whose other options may describe that child further.</summary>
    private void PutFile(JsonObject options, string filename)
    {
        if (!options.TryGetPropertyValue(File, out JsonNode? existing)) options[File] = existing = new JsonObject();
        if (existing is not JsonObject child)
        {
            throw new BlockException(
                BlockErrorKind.Invalid, "Cannot reference an existing block device with additional options or a new filename");
        }

        if (OptionChecker.TextOf(child[DriverOption]) is { } name && Drivers.Find(name) is { } driver)
        {
            if (driver.IsProtocol) AddMissing(child, driver.ParseFilename(filename));
            else PutFile(child, filename);
        }
        else if (!child.TryAdd(FilenameOption, filename))
        {
            throw new BlockException(BlockErrorKind.Invalid, "Can't specify 'file' and 'filename' options at the same time");
        }
    }

    /// <summary>Adds the members of <paramref name="more"/> that are not there, at every level.</summary>
    private static void AddMissing(JsonObject options, JsonObject more)
    {
        foreach ((string name, JsonNode? value) in more.ToList())
        {
            more.Remove(name);
            if (!options.TryGetPropertyValue(name, out JsonNode? existing)) options[name] = value;
            else if (existing is JsonObject inner && value is JsonObject moreInner) AddMissing(inner, moreInner);
        }
    }
}
