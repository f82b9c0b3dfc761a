using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <summary>A snapshot inside an image: what formats record of it (QMP <c>SnapshotInfo</c>).</summary>
internal sealed record InternalSnapshot
{
    /// <summary>Unique in its image. Empty in a request to create one: the format chooses.</summary>
    public string Id { get; init; } = "";

    /// <summary>The user's name (tag); need not be unique.</summary>
    public string Name { get; init; } = "";

    /// <summary>Bytes of the machine state stored with it; 0: none.</summary>
    public long VmStateSize { get; init; }

    /// <summary>When it was taken: seconds since 1970, UTC.</summary>
    public long DateSeconds { get; init; }

    /// <summary>Nanoseconds besides.</summary>
    public int DateNanoseconds { get; init; }

    /// <summary>The machine's clock when it was taken, in nanoseconds.</summary>
    public long VmClockNanoseconds { get; init; }

    /// <summary>Instructions the machine had executed; null: not recorded.</summary>
    public long? InstructionCount { get; init; }

    /// <summary>Bytes of the virtual disk then.</summary>
    public long DiskSize { get; init; }

    /// <summary>As QMP tells it.</summary>
    public JsonObject ToJson()
    {
        // In the order in which the reference prints them.
        var info = new JsonObject();
        if (InstructionCount is { } count) info["icount"] = count;
        info["vm-clock-nsec"] = VmClockNanoseconds % 1_000_000_000;
        info["name"] = Name;
        info["date-sec"] = DateSeconds;
        info["date-nsec"] = DateNanoseconds;
        info["vm-clock-sec"] = VmClockNanoseconds / 1_000_000_000;
        info["id"] = Id;
        info["vm-state-size"] = VmStateSize;
        return info;
    }
}
