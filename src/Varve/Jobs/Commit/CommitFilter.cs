using Varve.Filters;
using Varve.Graph;
using Varve.Options;

namespace Varve.Jobs;

/// <summary>The kinds of filter a commit puts above its top. Users cannot open one, so no list of drivers has them.</summary>
internal sealed class CommitFilterDriver(string name) : BlockDriver
{
    /// <summary>Above a layer that is written to.</summary>
    public static CommitFilterDriver Active { get; } = new("mirror_top");

    /// <summary>Above a layer that nobody writes to.</summary>
    public static CommitFilterDriver Intermediate { get; } = new("commit_top");

    public override string Name => name;

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options => [];

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken) => new(new CommitFilterNode(opening));
}

/// <summary>Stands above the top of a commit, so that what lies below may change under its users without their permission.</summary>
/// <remarks>What they see stays the same: data moves from the top to the base, and the top still covers it.</remarks>
internal sealed class CommitFilterNode(NodeOpening opening) : FilterNode(opening)
{
    public override (BlockPermissions Needed, BlockPermissions Shared) GetChildPermissions(
        string name, ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly)
        => (needed & ~(BlockPermissions.ConsistentRead | BlockPermissions.Resize), BlockPermissions.All & ~BlockPermissions.Resize);

    /// <summary>Makes a filter above the top of a plan; nobody uses it yet. The caller holds a reference. Needs the control lock.</summary>
    public static async ValueTask<CommitFilterNode> OpenAsync(CommitPlan plan, string? nodeName, CancellationToken cancellationToken)
    {
        BlockNode top = plan.Top;
        BlockGraph graph = top.Graph;
        if (nodeName is not null) graph.CheckNodeName(nodeName);
        var settings = new NodeSettings { ReadOnly = top.IsReadOnly, Discard = true };   // passes everything on; the node below decides
        CommitFilterDriver driver = plan.IsActive ? CommitFilterDriver.Active : CommitFilterDriver.Intermediate;
        var opening = new NodeOpening(graph, driver, nodeName ?? graph.GenerateNodeName(), settings, []) { Context = new OpenContext() };
        var filter = new CommitFilterNode(opening) { IsImplicit = nodeName is null };
        top.ExplicitReferences++;   // the edge takes it over
        await opening.AttachAsync(filter, "backing", ChildRole.Filtered | ChildRole.Primary, top, cancellationToken).ConfigureAwait(false);
        graph.Add(filter);
        return filter;
    }
}
