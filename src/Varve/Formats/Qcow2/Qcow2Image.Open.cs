using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <content>Opening: header, features, tables, backing image.</content>
internal sealed partial class Qcow2Image
{
    /// <summary>Opens the children and reads the metadata. What it throws undoes the opening.</summary>
    internal async ValueTask OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        _file = await opening.OpenRequiredChildAsync(this, "file", ChildRole.Image, cancellationToken).ConfigureAwait(false);
        using IOBuffer head = IOBuffer.Rent(Qcow2Header.LengthWithCompressionType);
        await _file.Node.ReadAsync(0, head.Memory, cancellationToken).ConfigureAwait(false);
        Qcow2Header.TryRead(head.Span, out _header)?.Throw(NodeName);
        _header.CheckLimits()?.Throw(NodeName);
    }
}
