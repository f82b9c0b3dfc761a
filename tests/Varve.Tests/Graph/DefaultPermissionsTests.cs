using Varve.Graph;

namespace Varve.Tests.Graph;

/// <summary>Permissions as the reference's <c>x-debug-query-block-graph</c> shows them for the same graph and users.</summary>
public sealed class DefaultPermissionsTests
{
    private const BlockPermissions
        None = BlockPermissions.None, All = BlockPermissions.All, Read = BlockPermissions.ConsistentRead, Write = BlockPermissions.Write,
        Unchanged = BlockPermissions.WriteUnchanged, Resize = BlockPermissions.Resize, Export = All & ~Resize;

    [Theory]
    [InlineData(ChildRole.Filtered | ChildRole.Primary, None, All, false, None, All)]
    [InlineData(ChildRole.Filtered | ChildRole.Primary, Read | Write, Export, false, Read | Write, Export)]
    [InlineData(ChildRole.Filtered | ChildRole.Primary, Unchanged, All, false, Unchanged, All)]
    [InlineData(ChildRole.Data | ChildRole.Primary, None, All, false, None, Export)]
    [InlineData(ChildRole.Data | ChildRole.Primary, Read | Write, Export, false, Read | Write, Export)]
    [InlineData(ChildRole.Data | ChildRole.Primary, Unchanged, All, false, Unchanged, Export)]
    [InlineData(ChildRole.Image, None, All, false, Read | Write | Resize, Read | Unchanged)]
    [InlineData(ChildRole.Image, Read | Write, Export, false, Read | Write | Resize, Read | Unchanged)]
    [InlineData(ChildRole.Image, None, All, true, Read, Read | Unchanged)]
    [InlineData(ChildRole.Cow, None, All, false, None, All)]
    [InlineData(ChildRole.Cow, Read | Write, Export, false, Read, All)]
    internal void An_edge_needs_and_shares_what_its_role_says(
        ChildRole role, BlockPermissions needed, BlockPermissions shared, bool readOnly, BlockPermissions childNeeded, BlockPermissions childShared)
        => Assert.Equal((childNeeded, childShared), DefaultPermissions.Of(role, needed, shared, readOnly));
}
