using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;
using static Varve.Creation.CreationOptionType;

namespace Varve.Creation;

/// <summary><c>file</c>: a file of the host.</summary>
internal sealed class FileCreation : CreationFormat
{
    public override string Name => "file";

    public override IReadOnlyList<CreationOption> Options { get; } =
    [
        new("size", Size, "Virtual disk size"),
        new("preallocation", Text, "Preallocation mode (allowed values: off, falloc, full)"),
        new("nocow", Switch, "Turn off copy-on-write (valid only on btrfs)"),
        new("extent_size_hint", Size, "Extent size hint for the image file, 0 to disable"),
    ];

    public override ValueTask CreateAsync(BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
        => CreateFileAsync(graph, filename, values["size"] ?? "0", values["preallocation"], values, cancellationToken);

    /// <summary>Creates a file of a given size, or makes sure that what a protocol names is as large, taking only what concerns the file
    /// itself from <paramref name="values"/>.</summary>
    public static async ValueTask CreateFileAsync(
        BlockGraph graph, string filename, string size, string? preallocation, CreationOptionValues values, CancellationToken cancellationToken)
    {
        PreallocationModeText.Parse(preallocation);
        BlockDriver protocol = graph.DriverOfName(filename);
        if (protocol.CreateOptions is null)
        {
            long needed = Align.Up(long.Parse(size, CultureInfo.InvariantCulture), Align.SectorSize);
            await ExistingTarget.PrepareAsync(graph, protocol, filename, needed, preallocation, cancellationToken).ConfigureAwait(false);
            return;
        }

        JsonObject options = protocol.ParseFilename(filename);
        options["size"] = Align.Up(long.Parse(size, CultureInfo.InvariantCulture), Align.SectorSize)
            .ToString(CultureInfo.InvariantCulture);   // as the option list of the reference
        if (preallocation is not null) options["preallocation"] = preallocation;
        if (values.Given("nocow") is { } nocow) options["nocow"] = nocow;
        if (values.Given("extent_size_hint") is { } hint) options["extent-size-hint"] = hint;
        await RunAsync(graph, protocol.Name, options, cancellationToken).ConfigureAwait(false);
    }
}

/// <summary><c>raw</c>: the file and nothing else.</summary>
internal sealed class RawCreation : CreationFormat
{
    public override string Name => "raw";

    /// <summary>The others are the file's.</summary>
    public override IReadOnlyList<CreationOption> Options { get; } = [new("size", Size, "Virtual disk size")];

    public override ValueTask CreateAsync(BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
        => FileCreation.CreateFileAsync(graph, filename, values["size"] ?? "0", values["preallocation"], values, cancellationToken);

    public override ValueTask<ImageMeasurement> MeasureAsync(
        BlockGraph graph, CreationOptionValues values, BlockBackend? source, CancellationToken cancellationToken)
    {
        long length = Align.Up(source?.Length ?? long.Parse(values["size"]!, CultureInfo.InvariantCulture), Align.SectorSize);
        return new(new ImageMeasurement(length, length));
    }
}
