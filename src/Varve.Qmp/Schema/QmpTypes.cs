using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Schema;

/// <summary>The types that several commands and events share; what one command alone uses stands in its file.</summary>
internal static class QmpTypes
{
    public static EnumType JobType { get; } = new(
        "JobType", ["commit", "stream", "mirror", "backup", "create", "amend", "snapshot-load", "snapshot-save", "snapshot-delete"]);

    public static EnumType JobStatus { get; } = new(
        "JobStatus", ["undefined", "created", "running", "paused", "ready", "standby", "waiting", "pending", "aborting", "concluded", "null"]);

    public static EnumType OnError { get; } = new("BlockdevOnError", ["report", "ignore", "enospc", "stop", "auto"]);

    public static EnumType NewImageMode { get; } = new("NewImageMode", ["existing", "absolute-paths"]);

    public static EnumType IOStatus { get; } = new("BlockDeviceIoStatus", ["ok", "failed", "nospace"]);

    public static EnumType IOOperation { get; } = new("IoOperationType", ["read", "write"]);

    public static EnumType ErrorAction { get; } = new("BlockErrorAction", ["ignore", "report", "stop"]);

    public static EnumType DetectZeroes { get; } = new("BlockdevDetectZeroesOptions", ["off", "on", "unmap"]);

    public static EnumType Permission { get; } = new("BlockPermission", ["consistent-read", "write", "write-unchanged", "resize"]);

    public static EnumType ExportType { get; } = new("BlockExportType", ["nbd"]);

    public static EnumType ExportRemoveMode { get; } = new("BlockExportRemoveMode", ["safe", "hard"]);

    /// <summary>A variant whose members lie in a member <c>data</c> of their own.</summary>
    public static ObjectType Wrapper(ObjectType type) => type.InData;
}
