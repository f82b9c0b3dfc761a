using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.CopyBeforeWrite;

/// <summary><c>snapshot-access</c>: the disk as it was when a <c>copy-before-write</c> filter was put in.</summary>
internal sealed class SnapshotAccessDriver : BlockDriver
{
    public override string Name => "snapshot-access";

    public override IReadOnlyList<OptionMember> Options { get; } = [OptionMember.Required("file", BlockdevSchema.Ref)];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new SnapshotAccessNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Data | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        node.SetLength();
        return node;
    }
}
