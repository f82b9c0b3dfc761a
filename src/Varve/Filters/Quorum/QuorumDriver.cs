using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.Quorum;

/// <summary><c>quorum</c>: several copies of a disk; what enough of them say is true.</summary>
internal sealed class QuorumDriver : BlockDriver
{
    private const string Children = "children", Threshold = "vote-threshold", BlkVerify = "blkverify", Rewrite = "rewrite-corrupted",
        ReadPattern = "read-pattern";

    private static readonly EnumType s_readPattern = new("QuorumReadPattern", ["quorum", "fifo"]);

    public override string Name => "quorum";

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Optional(BlkVerify, OptionType.Bool),
        OptionMember.Required(Children, BlockdevSchema.Ref.List),
        OptionMember.Required(Threshold, OptionType.Int),
        OptionMember.Optional(Rewrite, OptionType.Bool),
        OptionMember.Optional(ReadPattern, s_readPattern),
    ];

    public override IReadOnlyList<string> StrongOptions { get; } = [Threshold, BlkVerify, Rewrite, ReadPattern];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        JsonArray descriptions = opening.Take(Children) as JsonArray ?? [];
        if (descriptions.Count == 0) throw Invalid("Number of provided children must be 1 or more");
        QuorumRules rules = TakeRules(opening, descriptions.Count);
        var node = new QuorumNode(opening, rules);
        for (int i = 0; i < descriptions.Count; i++)
        {
            string name = ChildName(i);
            opening.Options[name] = descriptions[i]?.DeepClone();
            await opening.OpenRequiredChildAsync(node, name, QuorumNode.ChildRoles, cancellationToken).ConfigureAwait(false);
        }

        node.RequireSameLengths();
        return node;
    }

    /// <summary>The name of a child by its number.</summary>
    internal static string ChildName(int index) => string.Create(CultureInfo.InvariantCulture, $"{Children}.{index}");

    private static QuorumRules TakeRules(NodeOpening opening, int childCount)
    {
        long threshold = TakeThreshold(opening);
        if (threshold < 1) throw Invalid("Parameter 'vote-threshold' expects a value >= 1");
        if (threshold > childCount) throw Invalid("threshold may not exceed children count");
        bool readsFirst = opening.TakeString(ReadPattern) switch
        {
            null or "quorum" => false,
            "fifo" => true,
            _ => throw Invalid("Please set read-pattern as fifo or quorum"),
        };
        bool verifies = opening.TakeBool(BlkVerify) ?? false, rewrites = opening.TakeBool(Rewrite) ?? false;
        if (verifies && !readsFirst && (childCount != 2 || threshold != 2))
        {
            throw Invalid("blkverify=on can only be set if there are exactly two files and vote-threshold is 2");
        }

        if (verifies && rewrites && !readsFirst) throw Invalid("rewrite-corrupted=on cannot be used with blkverify=on");
        return new QuorumRules((int)threshold, verifies && !readsFirst, rewrites && !readsFirst, readsFirst);
    }

    private static long TakeThreshold(NodeOpening opening)
    {
        JsonNode? value = opening.Take(Threshold);
        if (value is null) return 0;
        if (OptionChecker.TryGetInteger(value, out Int128 number)) return (long)Int128.Clamp(number, -1, int.MaxValue);
        return long.TryParse(OptionChecker.TextOf(value), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long parsed)
            ? Math.Clamp(parsed, -1, int.MaxValue)
            : throw Invalid("Parameter 'vote-threshold' expects a number");
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}

/// <summary>How a quorum decides.</summary>
/// <param name="Threshold">How many children must agree.</param>
/// <param name="Verifies">A difference between the two children is the end of a test.</param>
/// <param name="Rewrites">Children that were outvoted are corrected.</param>
/// <param name="ReadsFirst">Reads take the first child that does not fail, without a vote.</param>
internal readonly record struct QuorumRules(int Threshold, bool Verifies, bool Rewrites, bool ReadsFirst);
