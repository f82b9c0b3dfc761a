using Varve.Formats.Luks;
using Varve.Formats.Qcow2;
using Varve.Formats.Raw;
using Varve.Protocols.File;
using Varve.Protocols.Null;

namespace Varve.Graph;

/// <summary>The drivers a graph knows, by name. Listed in code: nothing is discovered, so nothing is trimmed away.</summary>
internal sealed class BlockDrivers(IEnumerable<BlockDriver> drivers)
{
    private readonly Lock _lock = new();
    private Dictionary<string, BlockDriver> _byName = drivers.ToDictionary(d => d.Name, StringComparer.Ordinal);

    /// <summary>All drivers of this assembly, and those that assemblies above it have added.</summary>
    public static BlockDrivers Default { get; } = new([
        new FileDriver(),
        .. OperatingSystem.IsLinux() ? new[] { new HostDeviceDriver(HostFileKind.Device), new HostDeviceDriver(HostFileKind.Cdrom) } : [],
        new NullDriver("null-co"),
        new NullDriver("null-aio"),
        new LuksDriver(),
        new Qcow2Driver(),
        new RawDriver(),
        new Filters.BlkDebug.BlkDebugDriver(),
        new Filters.BlkLogWrites.BlkLogWritesDriver(),
        new Filters.BlkVerify.BlkVerifyDriver(),
        new Filters.Compress.CompressDriver(),
        new Filters.CopyBeforeWrite.CopyBeforeWriteDriver(),
        new Filters.CopyBeforeWrite.SnapshotAccessDriver(),
        new Filters.CopyOnRead.CopyOnReadDriver(),
        new Filters.Preallocate.PreallocateDriver(),
        new Filters.Quorum.QuorumDriver(),
        new Filters.Throttle.ThrottleDriver(),
    ]);

    /// <summary>Adds a driver of another assembly. Before the first node is opened or the schema of options is looked at.</summary>
    public void Add(BlockDriver driver)
    {
        lock (_lock) _byName = new Dictionary<string, BlockDriver>(_byName, StringComparer.Ordinal) { [driver.Name] = driver };
    }

    public IReadOnlyCollection<BlockDriver> All => _byName.Values;

    public BlockDriver? Find(string name) => _byName.GetValueOrDefault(name);

    /// <summary>The driver for the device that a plain file name leads to; null where it leads to none.</summary>
    public BlockDriver? FindForDevice(string filename)
        => _byName.Values.Select(d => (Driver: d, Score: d.ProbeDevice(filename))).MaxBy(d => d.Score) is { Score: > 0 } best ? best.Driver : null;

    /// <summary>The driver that a file name's prefix selects.</summary>
    public BlockDriver? FindByPrefix(string prefix) => _byName.Values.FirstOrDefault(d => d.ProtocolPrefixes.Contains(prefix));
}
