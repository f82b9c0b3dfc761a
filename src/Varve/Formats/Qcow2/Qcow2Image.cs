using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;
using Varve.IO;

namespace Varve.Formats.Qcow2;

/// <summary>An opened qcow2 image.</summary>
/// <remarks>Which file holds what: README.md of this folder.</remarks>
internal sealed partial class Qcow2Image : BlockNode
{
    private Qcow2Header _header;
    private BlockChild _file = null!;

    public Qcow2Image(NodeOpening opening) : base(opening) { }

    /// <summary>The fixed part of the header, as memory knows it.</summary>
    internal Qcow2Header Header => _header;

    /// <summary>The edge to the file that holds tables and data.</summary>
    internal BlockChild File => _file;

    public override long Length => _header.VirtualSize;

    public override int ClusterSize => _header.ClusterSize;

    public override bool? IsDirty => (_header.Incompatible & Qcow2Incompatible.Dirty) != 0;

    public override bool IsEncrypted => _header.CryptMethod != 0;

    protected override ValueTask ReadCoreAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken)
        => throw new BlockException(BlockErrorKind.Unsupported, Errno.Text(Errno.EOPNOTSUPP)) { NodeName = NodeName };
}
