using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>What the header tells that only qcow2 has (QMP <c>ImageInfoSpecificQCow2</c>).</content>
internal sealed partial class Qcow2Image
{
    public override JsonObject GetSpecificInfo()
    {
        Qcow2Header header = _header;
        var data = new JsonObject
        {
            ["compat"] = header.Version == 2 ? "0.10" : "1.1",
            ["compression-type"] = header.CompressionType == Qcow2CompressionType.Zstd ? "zstd" : "zlib",
        };
        if (header.Version >= 3)
        {
            data["lazy-refcounts"] = (header.Compatible & Qcow2Compatible.LazyRefcounts) != 0;
        }

        data["refcount-bits"] = header.RefcountBits;
        if (header.Version >= 3)
        {
            data["corrupt"] = (header.Incompatible & Qcow2Incompatible.Corrupt) != 0;
            data["extended-l2"] = (header.Incompatible & Qcow2Incompatible.ExtendedL2) != 0;
        }

        return new JsonObject { ["type"] = "qcow2", ["data"] = data };
    }
}
