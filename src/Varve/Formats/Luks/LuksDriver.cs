using System.Text.Json.Nodes;
using Varve.Crypto;
using Varve.Crypto.Luks;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Luks;

/// <summary><c>luks</c>: a header with key slots, and a payload encrypted sector by sector. Version 1.</summary>
/// <remarks>The header may lie in a node of its own (child <c>header</c>, as in QEMU 9.0); then the whole file is payload.</remarks>
internal sealed class LuksDriver : BlockDriver
{
    public override string Name => "luks";

    public override bool IsFormat => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Optional("key-secret", OptionType.Str),
        OptionMember.Optional("header", BlockdevSchema.Ref),
    ];

    public override IReadOnlyList<string> StrongOptions => ["key-secret"];

    public override int Probe(ReadOnlySpan<byte> head, string? filename) => LuksHeader.IsMagic(head) ? 100 : 0;

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new LuksNode(opening);
        await node.OpenAsync(opening, cancellationToken).ConfigureAwait(false);
        return node;
    }

    public override IReadOnlyList<OptionMember> CreateOptions { get; } =
    [
        OptionMember.Optional("file", BlockdevSchema.Ref),
        OptionMember.Optional("header", BlockdevSchema.Ref),
        OptionMember.Required("size", OptionType.Size),
        OptionMember.Optional("preallocation", BlockdevSchema.Preallocation),
        .. LuksCreateOptions.Members,
    ];

    public override IReadOnlyList<OptionMember> AmendOptions => LuksAmend.Members;

    /// <summary>Writes a header, and gives the payload its length. Its content is noise until it is written.</summary>
    public override ValueTask CreateAsync(BlockGraph graph, JsonObject options, CancellationToken cancellationToken)
        => new LuksCreation(graph, options).RunAsync(cancellationToken);
}
