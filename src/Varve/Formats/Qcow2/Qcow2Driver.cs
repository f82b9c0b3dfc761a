using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Qcow2;

/// <summary>The qcow2 format: probe, options, open. Creation is in <c>Qcow2Driver.Create.cs</c>.</summary>
internal sealed partial class Qcow2Driver : BlockDriver
{
    public override string Name => "qcow2";

    public override bool IsFormat => true;

    public override bool SupportsBacking => true;

    public override IReadOnlyList<string> StrongOptions => ["encrypt"];

    public override bool SupportsCompressedWrites => true;

    public override IReadOnlyList<OptionMember> Options => Qcow2Options.Members;

    /// <summary>Probing looks at the magic and at a version we could read or name in an error.</summary>
    public override int Probe(ReadOnlySpan<byte> head, string? filename)
        => Qcow2Header.IsMagic(head) && head[4..8] is [0, 0, 0, >= 2] ? 100 : 0;

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var image = new Qcow2Image(opening);
        await image.OpenAsync(opening, cancellationToken).ConfigureAwait(false);
        return image;
    }
}
