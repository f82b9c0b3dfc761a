using Varve.Bitmaps;
using Varve.Graph;

namespace Varve.Nbd.Server;

// Exports and the control plane
//   1. Members that change something are called with BlockGraph.ControlLock held; queries too.
//   2. Removal is asked for under the lock and finished later: when the last client is gone, the lock is taken again, the backend
//      closed, and ExportDeleted called. A command that removes an export therefore answers before the event, as the reference does,
//      as long as it answers before it lets go of the lock.
//   3. Stopping the server finishes every removal before it returns.

/// <summary>The exports of a block layer and the NBD server they are reached by.</summary>
internal sealed class ExportRegistry(BlockGraph graph)
{
    private readonly LinkedList<NbdExport> _newestFirst = new();

    /// <summary>Called under the control lock with the id of an export that is gone: <c>BLOCK_EXPORT_DELETED</c>.</summary>
    public Action<string>? ExportDeleted { get; set; }

    /// <summary>The server clients connect to; null while none runs.</summary>
    public NbdServer? NbdServer { get; private set; }

    public NbdExport? Find(string id) => _newestFirst.FirstOrDefault(e => e.Id == id);

    /// <summary>Every export, newest first.</summary>
    public IReadOnlyList<BlockExportInfo> Query()
        => [.. _newestFirst.Select(e => new BlockExportInfo(e.Id, "nbd", e.Backend.Node.NodeName, e.IsShuttingDown))];

    /// <summary>Refuses a second server: to be asked before a socket is bound.</summary>
    public void CheckNoNbdServer()
    {
        if (NbdServer is not null) throw new BlockException(BlockErrorKind.InUse, "NBD server already running");
    }

    /// <summary>Makes a started server the one exports are offered by; the registry stops it.</summary>
    public void SetNbdServer(NbdServer server)
    {
        CheckNoNbdServer();
        NbdServer = server;
    }

    /// <summary>Refuses an id that is malformed or taken.</summary>
    public void CheckId(string id)
    {
        if (!IsValidId(id)) throw new BlockException(BlockErrorKind.Invalid, "Invalid block export id");
        if (Find(id) is not null) throw new BlockException(BlockErrorKind.InUse, $"Block export id '{id}' is already in use");
    }

    /// <summary>Offers a node. Clients may ask for it at once.</summary>
    /// <exception cref="BlockException">The id or name is taken or not valid, no server runs, or the node's users forbid it.</exception>
    public async ValueTask<NbdExport> AddAsync(NbdExportOptions options, CancellationToken cancellationToken = default)
    {
        CheckId(options.Id);
        if (options.Writable && options.Node.IsReadOnly && !options.Node.CanBecomeWritable)
        {
            throw new BlockException(BlockErrorKind.ReadOnly, "Cannot export read-only node as writable");
        }

        // Whatever others do to the node is their business, but the length was told to clients and must stay.
        BlockPermissions needed = BlockPermissions.ConsistentRead | (options.Writable ? BlockPermissions.Write : BlockPermissions.None);
        BlockBackend backend = await graph.OpenBackendAsync(
            options.Node, needed, BlockPermissions.All & ~BlockPermissions.Resize, cancellationToken: cancellationToken).ConfigureAwait(false);
        try
        {
            NbdServer server = NbdServer ?? throw new BlockException(BlockErrorKind.Invalid, "NBD server not running");
            NbdExport.CheckTexts(options);
            IReadOnlyList<DirtyBitmap> bitmaps = ExportedBitmap.Take(options.Bitmaps, options.Node, options.Writable);
            var export = new NbdExport(options, backend, bitmaps);
            if (!server.TryAddExport(export))
            {
                ExportedBitmap.Release(bitmaps);
                throw new BlockException(BlockErrorKind.InUse, $"NBD server already has export named '{export.Name}'");
            }

            _newestFirst.AddFirst(export);
            return export;
        }
        catch
        {
            await backend.CloseAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Begins the removal of an export; it is gone when <see cref="NbdExport.Deleted"/> completes.</summary>
    /// <exception cref="BlockException">No such export, being removed already, or clients use it and <paramref name="mode"/> is safe.</exception>
    public void Remove(string id, ExportRemoveMode mode = ExportRemoveMode.Safe)
    {
        NbdExport export = Find(id) ?? throw new BlockException(BlockErrorKind.NotFound, $"Export '{id}' is not found");
        if (export.IsShuttingDown) throw new BlockException(BlockErrorKind.InUse, $"Export '{id}' is already shutting down");
        if (!export.TryBeginShutdown(mode)) throw new BlockException(BlockErrorKind.InUse, $"export '{id}' still in use");
        NbdServer?.RemoveExport(export);
        _ = FinishRemovalAsync(export);   // owned through NbdExport.Deleted
    }

    /// <summary>Ends the server: clients are let go, every export is removed and reported.</summary>
    /// <exception cref="BlockException">None runs.</exception>
    public async ValueTask StopNbdServerAsync()
    {
        NbdServer server = NbdServer ?? throw new BlockException(BlockErrorKind.Invalid, "NBD server not running");
        NbdServer = null;
        await server.StopAsync().ConfigureAwait(false);
        foreach (NbdExport export in _newestFirst.ToList())
        {
            export.TryBeginShutdown(ExportRemoveMode.Hard);
            await export.Idle.ConfigureAwait(false);
            await DeleteAsync(export).ConfigureAwait(false);
        }
    }

    /// <summary>As <see cref="StopNbdServerAsync"/>, where it does not matter whether a server runs.</summary>
    public ValueTask ShutdownAsync() => NbdServer is null ? default : StopNbdServerAsync();

    private async Task FinishRemovalAsync(NbdExport export)
    {
        try
        {
            await export.Idle.ConfigureAwait(false);
            using IDisposable held = await graph.ControlLock.EnterAsync().ConfigureAwait(false);
            await DeleteAsync(export).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            export.SetDeleted(e);   // the task's owner: whoever waits for Deleted
        }
    }

    private async ValueTask DeleteAsync(NbdExport export)
    {
        if (!_newestFirst.Remove(export)) return;
        ExportedBitmap.Release(export.Bitmaps);
        try
        {
            await export.Backend.CloseAsync().ConfigureAwait(false);
        }
        finally
        {
            ExportDeleted?.Invoke(export.Id);   // even where closing failed, the export is gone
        }

        export.SetDeleted();
    }

    /// <summary>The rule for identifiers: a letter, then letters, digits, and <c>-._</c>.</summary>
    private static bool IsValidId(string id)
        => id.Length > 0 && char.IsAsciiLetter(id[0]) && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '.' or '_');
}
