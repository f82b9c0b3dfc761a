using Varve.Qmp.Server.Chardevs;

namespace Varve.Qmp.Server;

/// <summary>The monitors of a host: each makes a character device speak QMP to whoever is at its other end.</summary>
internal sealed class QmpMonitors(QmpContext context) : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly HashSet<string> _ids = new(StringComparer.Ordinal);
    private readonly List<Chardev> _chardevs = [];

    /// <summary>Attaches a monitor to a character device; clients are served from now on.</summary>
    /// <param name="chardevId">The device's id.</param>
    /// <param name="pretty">Indent what is sent.</param>
    /// <param name="id">The monitor's own id; none is fine.</param>
    /// <exception cref="BlockException">No such device, or it is in use.</exception>
    public async ValueTask AddAsync(string chardevId, bool pretty = false, string? id = null)
    {
        Chardev chardev = context.Chardevs.Find(chardevId)
            ?? throw new BlockException(BlockErrorKind.NotFound, $"chardev \"{chardevId}\" not found");
        lock (_lock)
        {
            if (id is not null && !_ids.Add(id)) throw new BlockException(BlockErrorKind.InUse, $"Duplicate ID '{id}' for mon");
            _chardevs.Add(chardev);
        }

        await chardev.AttachAsync((channel, cancellationToken) => QmpSession.RunAsync(context, channel, pretty, cancellationToken))
            .ConfigureAwait(false);
    }

    /// <summary>Ends all conversations: queued replies are sent, then the connections close.</summary>
    public async ValueTask DisposeAsync()
    {
        List<Chardev> chardevs;
        lock (_lock) chardevs = [.. _chardevs];
        foreach (Chardev chardev in chardevs) await chardev.DetachAsync().ConfigureAwait(false);
    }
}
