using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Options;

/// <summary>QAPI's types of socket addresses.</summary>
internal static class SocketAddressTypes
{
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
            ["inet"] = InetSocketAddress.InData, ["unix"] = UnixSocketAddress.InData, ["vsock"] = VsockSocketAddress.InData,
            ["fd"] = StringBox.InData,
        });
}
