using System.Text.Json.Nodes;
using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <content>What queries tell about the image (QMP <c>ImageInfoSpecificQCow2</c>, <c>BlockStatsSpecificQcow2</c>).</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public override JsonObject GetSpecificInfo()
    {
        // In the order in which the reference prints them.
        var data = new JsonObject
        {
            ["compat"] = _header.Version == 2 ? "0.10" : "1.1",
            ["compression-type"] = _header.CompressionType == Qcow2CompressionType.Zlib ? "zlib" : "zstd",
        };
        if (_header.Version >= 3) data["lazy-refcounts"] = (_header.Compatible & Qcow2Compatible.LazyRefcounts) != 0;
        if (_directory.Count > 0) data["bitmaps"] = new JsonArray([.. _directory.Select(Describe)]);
        data["refcount-bits"] = _header.RefcountBits;
        if (DescribeEncryption() is { } encryption) data["encrypt"] = encryption;
        if (RecordedDataFile is not null) data["data-file"] = RecordedDataFile;
        if (HasDataFile) data["data-file-raw"] = IsDataFileRaw;
        if (_header.Version >= 3)
        {
            data["corrupt"] = (_header.Incompatible & Qcow2Incompatible.Corrupt) != 0;
            data["extended-l2"] = (_header.Incompatible & Qcow2Incompatible.ExtendedL2) != 0;
        }

        return new JsonObject { ["type"] = "qcow2", ["data"] = data };
    }

    /// <inheritdoc/>
    public override JsonObject GetSpecificStatistics()
    {
        lock (TableLock)
        {
            return new JsonObject { ["driver"] = "qcow2", ["l2-cache"] = _l2Counters.ToJson(), ["refcount-cache"] = _refcountCounters.ToJson() };
        }
    }

    private static JsonNode Describe(BitmapDirectoryEntry bitmap)
    {
        var flags = new JsonArray();
        if (bitmap.IsInUse) flags.Add((JsonNode)"in-use");
        if (bitmap.IsAuto) flags.Add((JsonNode)"auto");
        return new JsonObject { ["flags"] = flags, ["name"] = bitmap.Name, ["granularity"] = 1L << bitmap.GranularityBits };
    }
}
