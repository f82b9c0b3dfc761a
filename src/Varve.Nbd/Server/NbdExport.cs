using System.Text;
using Varve.Bitmaps;
using Varve.Graph;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

// The life of an export
//   1. Open: clients attach and detach. Each attached client may have requests in the backend.
//   2. Shutting down: no client attaches any more. Those attached are let go (hard) or there were none (safe).
//   3. Idle: shutting down and nobody attached. Only now the registry closes the backend, under the control lock.

/// <summary>A node offered to NBD clients.</summary>
internal sealed class NbdExport
{
    private readonly Lock _lock = new();
    private readonly HashSet<NbdConnection> _connections = [];
    private readonly TaskCompletionSource _idle = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _deleted = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private bool _isShuttingDown;

    internal NbdExport(NbdExportOptions options, BlockBackend backend, IReadOnlyList<DirtyBitmap> bitmaps)
    {
        Id = options.Id;
        Name = options.Name ?? options.Node.NodeName;
        Description = options.Description;
        IsWritable = options.Writable;
        IsWritethrough = options.Writethrough;
        OffersAllocationDepth = options.AllocationDepth;
        Backend = backend;
        Bitmaps = bitmaps;
    }

    /// <summary>The control plane's name.</summary>
    public string Id { get; }

    /// <summary>The clients' name.</summary>
    public string Name { get; }

    public string? Description { get; }

    public bool IsWritable { get; }

    /// <summary>Every write is durable before it is answered.</summary>
    public bool IsWritethrough { get; }

    /// <summary>Whether <c>qemu:allocation-depth</c> may be selected.</summary>
    public bool OffersAllocationDepth { get; }

    /// <summary>What may be selected as <c>qemu:dirty-bitmap:NAME</c>.</summary>
    public IReadOnlyList<DirtyBitmap> Bitmaps { get; }

    public BlockBackend Backend { get; }

    /// <summary>Removal has begun: clients are let go and none is let in.</summary>
    public bool IsShuttingDown
    {
        get { lock (_lock) return _isShuttingDown; }
    }

    /// <summary>Clients in transmission.</summary>
    public int ConnectionCount
    {
        get { lock (_lock) return _connections.Count; }
    }

    /// <summary>Completes when the backend is closed and <see cref="ExportRegistry.ExportDeleted"/> was called.</summary>
    public Task Deleted => _deleted.Task;

    /// <summary>Completes when the export is shutting down and no client is left.</summary>
    internal Task Idle => _idle.Task;

    /// <summary>What is announced to clients.</summary>
    internal TransmissionFlags GetTransmissionFlags(bool multiConn, HeaderForm form)
    {
        TransmissionFlags flags = TransmissionFlags.HasFlags | TransmissionFlags.SendFlush | TransmissionFlags.SendFua | TransmissionFlags.SendCache;
        flags |= IsWritable
            ? TransmissionFlags.SendTrim | TransmissionFlags.SendWriteZeroes | TransmissionFlags.SendFastZero
            : TransmissionFlags.ReadOnly;
        if (multiConn) flags |= TransmissionFlags.CanMultiConn;
        if (form != HeaderForm.Simple) flags |= TransmissionFlags.SendDontFragment;
        if (form == HeaderForm.Extended) flags |= TransmissionFlags.BlockStatusPayload;
        return flags;
    }

    /// <summary>Lets a client in, unless the export is being removed.</summary>
    internal bool TryAttach(NbdConnection connection)
    {
        lock (_lock) return !_isShuttingDown && _connections.Add(connection);
    }

    /// <summary>The client is gone and none of its requests is in flight.</summary>
    internal void Detach(NbdConnection connection)
    {
        lock (_lock)
        {
            _connections.Remove(connection);
            if (!_isShuttingDown || _connections.Count > 0) return;
        }

        _idle.TrySetResult();
    }

    /// <summary>Begins the removal; a safe one only where no client is attached.</summary>
    /// <returns>False when clients stand in the way.</returns>
    internal bool TryBeginShutdown(ExportRemoveMode mode)
    {
        NbdConnection[] attached;
        lock (_lock)
        {
            if (mode == ExportRemoveMode.Safe && _connections.Count > 0) return false;
            _isShuttingDown = true;
            attached = [.. _connections];
        }

        foreach (NbdConnection connection in attached) connection.Close();
        if (attached.Length == 0) _idle.TrySetResult();
        return true;
    }

    internal void SetDeleted() => _deleted.TrySetResult();

    /// <summary>The export is gone, but not everything went well.</summary>
    internal void SetDeleted(Exception failure) => _deleted.TrySetException(failure);

    /// <summary>Refuses texts that do not fit the protocol.</summary>
    internal static void CheckTexts(NbdExportOptions options)
    {
        string name = options.Name ?? options.Node.NodeName;
        if (Encoding.UTF8.GetByteCount(name) > NbdLimits.MaxString)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"export name '{name}' too long");
        }

        if (options.Description is { } description && Encoding.UTF8.GetByteCount(description) > NbdLimits.MaxString)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"description '{description}' too long");
        }
    }
}
