using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.CopyOnRead;

/// <summary><c>copy-on-read</c>: what is read from below the filtered image is written into it on the way.</summary>
internal sealed class CopyOnReadDriver : BlockDriver
{
    public override string Name => "copy-on-read";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Optional("bottom", OptionType.Str),
    ];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new CopyOnReadNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        if (opening.TakeString("bottom") is { } bottom) node.SetBottom(FindBottom(opening.Graph, bottom));
        return node;
    }

    private static BlockNode FindBottom(BlockGraph graph, string name)
    {
        BlockNode bottom = graph.FindNode(name) ?? throw new BlockException(BlockErrorKind.NotFound, $"Bottom node '{name}' not found");
        if (bottom.Driver.IsFilter) throw new BlockException(BlockErrorKind.Invalid, $"Bottom node '{name}' is a filter");
        return bottom;
    }
}
