using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Creation;

/// <summary>How an image of one driver is created from the option list of a command line.</summary>
/// <remarks>The list is older than <c>blockdev-create</c> and spelled differently; here it is turned into one or more of those.</remarks>
internal abstract class CreationFormat
{
    /// <summary>The driver.</summary>
    public abstract string Name { get; }

    /// <summary>What may be given, in the order tools show it.</summary>
    public abstract IReadOnlyList<CreationOption> Options { get; }

    /// <summary>Whether an image with these options is of a size that somebody must say.</summary>
    public virtual bool NeedsSize(CreationOptionValues values) => true;

    /// <summary>Creates the image. Takes the control lock itself, whenever it opens or closes a node.</summary>
    /// <param name="graph">Nodes needed on the way are opened in it, and closed again.</param>
    /// <param name="filename">A path, or a name with a protocol prefix.</param>
    /// <param name="values">The options, with <c>size</c> among them.</param>
    /// <param name="cancellationToken">Ends the creation; what exists by then stays.</param>
    /// <exception cref="BlockException">An option's value is refused, or something could not be written.</exception>
    public abstract ValueTask CreateAsync(BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken);

    /// <summary>What an image of this format would take (<c>img measure</c>).</summary>
    /// <param name="graph">Knows the drivers.</param>
    /// <param name="values">The options of the creation, with <c>size</c> among them.</param>
    /// <param name="source">What would be copied into the image, its whole chain; null: nothing, an image of that size.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="BlockException">The format cannot tell, or an option's value is refused.</exception>
    public virtual ValueTask<ImageMeasurement> MeasureAsync(
        BlockGraph graph, CreationOptionValues values, BlockBackend? source, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, $"Block driver '{Name}' does not support size measurement");

    /// <summary>What may be amended, in the order errors look for it; none where the format cannot.</summary>
    public virtual IReadOnlyList<CreationOption> AmendOptions => [];

    /// <summary>What <see cref="BlockNode.AmendAsync"/> of the driver takes for these values of <see cref="AmendOptions"/>.</summary>
    public virtual AmendRequest TranslateAmend(CreationOptionValues values)
    {
        var options = new JsonObject();
        foreach (CreationOption option in AmendOptions)
        {
            if (values.Given(option.Name) is { } value) options[option.Name] = value;
        }

        return new AmendRequest(options);
    }

    /// <summary>The format of that name, or null where the driver cannot create.</summary>
    public static CreationFormat? Find(string driver) => driver switch
    {
        "raw" => new RawCreation(),
        "file" => new FileCreation(),
        "luks" => new LuksCreation(),
        "qcow2" => new Qcow2Creation(),
        "host_device" or "host_cdrom" or "nbd" => new ExistingTarget(driver),
        _ => null,
    };

    /// <summary>Checks the options of a <c>blockdev-create</c> by its driver's declaration, and runs it.</summary>
    protected static ValueTask RunAsync(BlockGraph graph, string driver, JsonObject options, CancellationToken cancellationToken)
    {
        BlockDriver found = graph.Drivers.Find(driver)!;
        return found.CreateAsync(graph, OptionChecker.Check(found.CreateOptions!, options, OptionStyle.Keyval), cancellationToken);
    }
}
