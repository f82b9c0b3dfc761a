using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.CopyBeforeWrite;

/// <summary><c>copy-before-write</c>: what a guest is about to overwrite is kept in a target first.</summary>
internal sealed class CopyBeforeWriteDriver : BlockDriver
{
    private const string Target = "target", Bitmap = "bitmap", OnError = "on-cbw-error", Timeout = "cbw-timeout", BreakSnapshot = "break-snapshot";

    private static readonly EnumType s_onError = new("OnCbwError", ["break-guest-write", BreakSnapshot]);

    public override string Name => "copy-before-write";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Required(Target, BlockdevSchema.Ref),
        OptionMember.Optional(Bitmap, BlockdevSchema.Bitmap),
        OptionMember.Optional(OnError, s_onError),
        OptionMember.Optional(Timeout, OptionType.UInt32),
    ];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new CopyBeforeWriteNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        await opening.OpenRequiredChildAsync(node, Target, ChildRole.Data, cancellationToken).ConfigureAwait(false);
        DirtyBitmap? limit = TakeBitmap(opening);
        bool breaksSnapshot = opening.TakeString(OnError) switch
        {
            null or "break-guest-write" => false,
            BreakSnapshot => true,
            string other => throw Invalid($"Parameter '{OnError}' does not accept value '{other}'"),
        };
        long seconds = opening.TakeSize(Timeout) ?? 0;
        if (seconds > uint.MaxValue) throw Invalid($"Parameter '{Timeout}' expects uint32_t");
        node.Begin(limit, breaksSnapshot, TimeSpan.FromSeconds(seconds));
        return node;
    }

    /// <summary>The bitmap whose marked parts alone are kept; what happens to it afterwards is its own affair.</summary>
    private static DirtyBitmap? TakeBitmap(NodeOpening opening)
    {
        if (opening.Take(Bitmap) is not { } value) return null;
        string? nodeName = OptionChecker.TextOf((value as JsonObject)?["node"]), name = OptionChecker.TextOf((value as JsonObject)?["name"]);
        if (nodeName is null || name is null) throw Invalid($"Parameter '{Bitmap}.{(nodeName is null ? "node" : "name")}' is missing");
        BlockNode node = opening.Graph.FindNode(nodeName) ?? throw new BlockException(BlockErrorKind.NotFound, $"Node '{nodeName}' not found");
        DirtyBitmap bitmap = BitmapOperations.Find(node, name);
        BitmapOperations.RequireReadable(node, bitmap);
        return bitmap;
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
