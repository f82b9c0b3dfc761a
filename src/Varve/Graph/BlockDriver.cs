using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <summary>The code behind a kind of node: its name, its options, how it is recognised, opened and created.</summary>
/// <remarks>One instance a driver, without state. A new driver is one class, one line in <see cref="BlockDrivers"/>, its nodes.</remarks>
internal abstract class BlockDriver
{
    /// <summary>As in QMP's <c>BlockdevDriver</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Shows the data of its filtered child as its own.</summary>
    public virtual bool IsFilter => false;

    /// <summary>Interprets the bytes of a <c>file</c> child (qcow2, raw); the opposite of a protocol.</summary>
    public virtual bool IsFormat => false;

    /// <summary>Can have a <c>backing</c> child.</summary>
    public virtual bool SupportsBacking => false;

    /// <summary>Its nodes can store what <see cref="WriteFlags.Compressed"/> writes.</summary>
    public virtual bool SupportsCompressedWrites => false;

    /// <summary>Name prefixes that select this driver, without the colon: <c>file</c>, <c>nbd</c>.</summary>
    public virtual IReadOnlyList<string> ProtocolPrefixes => [];

    /// <summary>The driver's own members of <c>BlockdevOptions</c>, beside the common ones.</summary>
    public abstract IReadOnlyList<OptionMember> Options { get; }

    /// <summary>Options that change what data the node shows; they appear in a computed <c>json:</c> file name.</summary>
    public virtual IReadOnlyList<string> StrongOptions => [];

    /// <summary>How sure the driver is, from an image's first bytes, that it is its format: 0 no, 100 sure.</summary>
    public virtual int Probe(ReadOnlySpan<byte> head, string? filename) => 0;

    /// <summary>How much the driver wants a plain file name that leads to a device of the host: 0 not at all.</summary>
    public virtual int ProbeDevice(string filename) => 0;

    /// <summary>Can be opened by a file name of its own: where bytes come from, or a filter with a prefix.</summary>
    public bool IsProtocol => ProtocolPrefixes.Count > 0;

    /// <summary>Turns a file name with one of <see cref="ProtocolPrefixes"/> into options.</summary>
    /// <returns>The driver's options; throws <see cref="BlockException"/> for a name it cannot read.</returns>
    public virtual JsonObject ParseFilename(string filename) => new() { ["filename"] = filename };

    /// <summary>Makes the node: constructs it, opens its children through <paramref name="opening"/>, reads its metadata.</summary>
    /// <remarks>What it throws undoes the opening: children that were attached are released by the caller.</remarks>
    public abstract ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken);

    /// <summary>The members of <c>BlockdevCreateOptions</c> for this driver; null where it cannot create.</summary>
    public virtual IReadOnlyList<OptionMember>? CreateOptions => null;

    /// <summary>The members of <c>BlockdevAmendOptions</c> for this driver; null where it cannot amend.</summary>
    public virtual IReadOnlyList<OptionMember>? AmendOptions => null;

    /// <summary>Creates an image (<c>blockdev-create</c>): options are checked against <see cref="CreateOptions"/> before.</summary>
    /// <remarks>May take long, so the caller does not hold <see cref="BlockGraph.ControlLock"/>: drivers that open nodes take it.</remarks>
    public virtual ValueTask CreateAsync(BlockGraph graph, JsonObject options, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, "Driver does not support blockdev-create");
}
