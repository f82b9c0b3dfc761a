using System.Globalization;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.Preallocate;

/// <summary><c>preallocate</c>: a file that grows write by write grows in large steps instead.</summary>
internal sealed class PreallocateDriver : BlockDriver
{
    private const string AlignOption = "prealloc-align", SizeOption = "prealloc-size";

    public override string Name => "preallocate";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Optional(AlignOption, OptionType.Int),
        OptionMember.Optional(SizeOption, OptionType.Int),
    ];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new PreallocateNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        node.Steps = TakeSteps(opening, Math.Max(node.Child.Node.RequestAlignment, Align.SectorSize));
        return node;
    }

    /// <summary>Takes how far ahead the file grows.</summary>
    internal static PreallocationSteps TakeSteps(NodeOpening opening, int alignment)
    {
        var steps = new PreallocationSteps(opening.TakeSize(AlignOption) ?? 1.MiB, opening.TakeSize(SizeOption) ?? 128.MiB);
        if (steps.Align <= 0 || !Align.Is(steps.Align, Align.SectorSize)) throw Unaligned(AlignOption, steps.Align, Align.SectorSize);
        if (!Align.Is(steps.Align, alignment)) throw Unaligned(AlignOption, steps.Align, alignment);
        return steps;
    }

    private static BlockException Unaligned(string option, long value, int alignment) => new(
        BlockErrorKind.Invalid,
        string.Create(CultureInfo.InvariantCulture, $"{option} parameter of preallocate filter is not aligned to {alignment}: {value}"));
}

/// <summary>How far ahead a file grows.</summary>
/// <param name="Align">Its length becomes a multiple of this.</param>
/// <param name="Size">Bytes beyond what is needed now.</param>
internal readonly record struct PreallocationSteps(long Align, long Size);
