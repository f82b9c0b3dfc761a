using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.Throttle;

/// <summary><c>throttle</c>: requests wait until their group lets them pass.</summary>
internal sealed class ThrottleDriver : BlockDriver
{
    public override string Name => "throttle";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("throttle-group", OptionType.Str),
        OptionMember.Required("file", BlockdevSchema.Ref),
    ];

    public override IReadOnlyList<string> StrongOptions { get; } = ["throttle-group"];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        string name = opening.TakeString("throttle-group")
            ?? throw new BlockException(BlockErrorKind.Invalid, "Please specify a throttle group");
        ThrottleGroup group = opening.Graph.ThrottleGroups.Find(name)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"Throttle group '{name}' does not exist");
        var node = new ThrottleNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        node.Join(group);
        return node;
    }
}
