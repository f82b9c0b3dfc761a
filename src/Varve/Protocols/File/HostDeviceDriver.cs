using Varve.Graph;
using Varve.Interop.Linux;
using Varve.Options;

namespace Varve.Protocols.File;

/// <summary><c>host_device</c> and <c>host_cdrom</c>: block and character devices of the host, by the engine for its files.</summary>
/// <remarks>A plain name that leads to a device selects one of them where a person gives it, or an image that may name files.</remarks>
internal sealed class HostDeviceDriver : FileDriver
{
    private readonly HostFileKind _kind;

    public HostDeviceDriver(HostFileKind kind) : base(kind) => _kind = kind;

    public override string Name => NameOf(_kind);

    /// <summary>Nothing makes a device; images are written into those that are there.</summary>
    public override IReadOnlyList<OptionMember>? CreateOptions => null;

    public override int ProbeDevice(string filename)
    {
        if (filename.Contains('\0') || Libc.Statx(filename, out Statx status) < 0) return 0;
        if (_kind == HostFileKind.Cdrom) return status.IsBlockDevice && LinuxDevice.IsCdrom(filename) ? 2 : 0;
        return status.IsBlockDevice || status.IsCharacterDevice ? 1 : 0;
    }

    internal static string NameOf(HostFileKind kind) => kind == HostFileKind.Cdrom ? "host_cdrom" : "host_device";
}
