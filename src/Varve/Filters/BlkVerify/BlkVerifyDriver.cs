using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.BlkVerify;

/// <summary><c>blkverify</c>: an image under test beside a raw copy; what is read must be the same in both. For tests.</summary>
internal sealed class BlkVerifyDriver : BlockDriver
{
    private const string Test = "test", Raw = "raw", NamedTest = "x-image", NamedRaw = "x-raw", Prefix = "blkverify:";

    public override string Name => "blkverify";

    public override bool IsFilter => true;

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = ["blkverify"];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required(Test, BlockdevSchema.Ref),
        OptionMember.Required(Raw, BlockdevSchema.Ref),
    ];

    /// <summary><c>blkverify:raw copy:image</c>; without the prefix the whole text names the image.</summary>
    public override JsonObject ParseFilename(string filename)
    {
        if (!filename.StartsWith(Prefix, StringComparison.Ordinal)) return new() { [NamedTest] = filename };
        string rest = filename[Prefix.Length..];
        int colon = rest.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0) throw new BlockException(BlockErrorKind.Invalid, "blkverify requires raw copy and original image path");
        return new() { [NamedRaw] = rest[..colon], [NamedTest] = rest[(colon + 1)..] };
    }

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new BlkVerifyNode(opening);
        await OpenAsync(opening, node, Raw, NamedRaw, ChildRole.Filtered | ChildRole.Primary, isProbed: false, cancellationToken).ConfigureAwait(false);
        await OpenAsync(opening, node, Test, NamedTest, ChildRole.Data, isProbed: true, cancellationToken).ConfigureAwait(false);
        return node;
    }

    private static async ValueTask OpenAsync(
        NodeOpening opening, BlkVerifyNode node, string child, string nameOption, ChildRole role, bool isProbed, CancellationToken cancellationToken)
    {
        if (opening.TakeString(nameOption) is { } name) await opening.OpenChildByNameAsync(node, child, role, name, cancellationToken, isProbed).ConfigureAwait(false);
        else await opening.OpenRequiredChildAsync(node, child, role, cancellationToken).ConfigureAwait(false);
    }
}
