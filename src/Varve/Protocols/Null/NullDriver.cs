using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Protocols.Null;

/// <summary><c>null-co</c> and <c>null-aio</c>: no device at all; for measuring everything above one.</summary>
internal sealed class NullDriver(string name) : BlockDriver
{
    public override string Name { get; } = name;

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = [name];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Optional("size", OptionType.Int),
        OptionMember.Optional("latency-ns", OptionType.UInt64),
        OptionMember.Optional("read-zeroes", OptionType.Bool),
    ];

    public override IReadOnlyList<string> StrongOptions => ["size", "read-zeroes"];

    public override JsonObject ParseFilename(string filename)
        => filename == $"{Name}://"
            ? new JsonObject()
            : throw new BlockException(BlockErrorKind.Invalid, $"The only allowed filename for this driver is '{Name}://'");

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        // The file name says nothing that the driver's name did not; both ways of opening may carry it.
        if (opening.TakeString("filename") is { } filename) ParseFilename(filename);
        long size = opening.TakeSize("size") ?? 1.GiB;
        if (size < 0) throw new BlockException(BlockErrorKind.Invalid, "size is negative");
        long latencyNs = opening.TakeSize("latency-ns") ?? 0;
        if (latencyNs < 0) throw new BlockException(BlockErrorKind.Invalid, "latency-ns is invalid");
        return new(new NullNode(opening, size, TimeSpan.FromMicroseconds(latencyNs / 1000.0), opening.TakeBool("read-zeroes") ?? false));
    }
}
