using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Qmp.Server.Chardevs;

/// <summary>The character devices of a host, by id.</summary>
internal sealed class ChardevRegistry : IAsyncDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Chardev> _chardevs = [];

    public IReadOnlyList<Chardev> All
    {
        get { lock (_lock) return [.. _chardevs]; }
    }

    public Chardev? Find(string id)
    {
        lock (_lock) return _chardevs.Find(c => c.Id == id);
    }

    /// <summary>Makes a device from its command line: <c>backend</c>, <c>id</c> and the backend's options, all text.</summary>
    /// <exception cref="BlockException">Options are missing or contradict each other, or opening failed.</exception>
    public ValueTask<Chardev> AddFromCommandLineAsync(JsonObject options, CancellationToken cancellationToken = default)
    {
        string? id = (string?)options["id"];
        if (string.IsNullOrEmpty(id)) throw new BlockException(BlockErrorKind.Invalid, "chardev: no id specified");
        return AddAsync(ChardevOptions.FromCommandLine(id, options), cancellationToken);
    }

    /// <summary>Opens a device and makes it known.</summary>
    public async ValueTask<Chardev> AddAsync(Chardev chardev, CancellationToken cancellationToken = default)
    {
        if (Find(chardev.Id) is not null) throw new BlockException(BlockErrorKind.InUse, $"Chardev with id '{chardev.Id}' already exists");
        if (chardev is StdioChardev && All.Any(c => c is StdioChardev))
        {
            throw new BlockException(BlockErrorKind.InUse, "cannot use stdio by multiple character devices");
        }

        await chardev.OpenAsync(cancellationToken).ConfigureAwait(false);
        lock (_lock) _chardevs.Add(chardev);
        return chardev;
    }

    /// <summary>Closes a device nobody uses.</summary>
    public async ValueTask RemoveAsync(string id)
    {
        Chardev chardev = Find(id) ?? throw new BlockException(BlockErrorKind.NotFound, $"Chardev '{id}' not found");
        if (chardev.IsFrontendOpen) throw new BlockException(BlockErrorKind.InUse, $"Chardev '{id}' is busy");
        lock (_lock) _chardevs.Remove(chardev);
        await chardev.DisposeAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Chardev chardev in All) await chardev.DisposeAsync().ConfigureAwait(false);
        lock (_lock) _chardevs.Clear();
    }
}
