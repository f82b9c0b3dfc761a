using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.Compress;

/// <summary><c>compress</c>: what is written through it is stored compressed.</summary>
internal sealed class CompressDriver : BlockDriver
{
    public override string Name => "compress";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } = [OptionMember.Required("file", BlockdevSchema.Ref)];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new CompressNode(opening);
        BlockChild child = await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        if (!child.Node.SupportsCompressedWrites)
        {
            throw new BlockException(
                BlockErrorKind.Unsupported, $"Compression is not supported for underlying format: {child.Node.SkipFilters().Driver.Name}");
        }

        node.AlignToClusters();
        return node;
    }
}
