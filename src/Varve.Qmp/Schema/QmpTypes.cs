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

    // ---- Addresses

    private static readonly EnumType s_socketAddressType = new("SocketAddressType", ["inet", "unix", "vsock", "fd"]);

    public static ObjectType InetSocketAddress { get; } = new("InetSocketAddress",
    [
        Required("host", Str), Required("port", Str), Optional("numeric", Bool), Optional("to", OptionType.UInt16), Optional("ipv4", Bool),
        Optional("ipv6", Bool), Optional("keep-alive", Bool), Optional("mptcp", Bool),
    ]);

    public static ObjectType UnixSocketAddress { get; } = new("UnixSocketAddress",
        [Required("path", Str), Optional("abstract", Bool), Optional("tight", Bool)]);

    public static ObjectType VsockSocketAddress { get; } = new("VsockSocketAddress", [Required("cid", Str), Required("port", Str)]);

    public static ObjectType StringBox { get; } = new("String", [Required("str", Str)]);

    /// <summary>An address: <c>{"type": "unix", "path": ...}</c>.</summary>
    public static ObjectType SocketAddress { get; } = new("SocketAddress", [Required("type", s_socketAddressType)], "type",
        new Dictionary<string, ObjectType>
        {
            ["inet"] = InetSocketAddress, ["unix"] = UnixSocketAddress, ["vsock"] = VsockSocketAddress, ["fd"] = StringBox,
        });

    /// <summary>An address as older commands take it: <c>{"type": "unix", "data": {"path": ...}}</c>.</summary>
    public static ObjectType SocketAddressLegacy { get; } = new("SocketAddressLegacy", [Required("type", s_socketAddressType)], "type",
        new Dictionary<string, ObjectType>
        {
            ["inet"] = Wrapper(InetSocketAddress), ["unix"] = Wrapper(UnixSocketAddress), ["vsock"] = Wrapper(VsockSocketAddress),
            ["fd"] = Wrapper(StringBox),
        });

    /// <summary>A variant whose members lie in a member <c>data</c> of their own.</summary>
    public static ObjectType Wrapper(ObjectType type) => new(type.Name + "Wrapper", [Required("data", type)]);
}
