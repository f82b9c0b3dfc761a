using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Creation;

/// <summary>The files made for one image: open while it is created, and gone again if that fails, for half an image is of no use.</summary>
internal sealed class CreatedFiles(BlockGraph graph) : IAsyncDisposable
{
    private readonly List<(BlockNode Node, string? Path)> _made = [];
    private bool _isComplete;

    /// <summary>Makes an empty file and opens it; what is there for good, like a device, is only opened.</summary>
    /// <returns>The name of its node.</returns>
    public async ValueTask<string> MakeAsync(string filename, CreationOptionValues values, CancellationToken cancellationToken)
    {
        await FileCreation.CreateFileAsync(graph, filename, size: "0", preallocation: null, values, cancellationToken).ConfigureAwait(false);
        BlockDriver protocol = graph.DriverOfName(filename);
        JsonObject options = protocol.ParseFilename(filename);
        options["driver"] = protocol.Name;
        string? path = protocol.CreateOptions is null ? null : (string?)options["filename"];
        using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext(), cancellationToken: cancellationToken).ConfigureAwait(false);
        _made.Add((node, path));
        return node.NodeName;
    }

    /// <summary>The image is finished: its files stay.</summary>
    public void Keep() => _isComplete = true;

    public async ValueTask DisposeAsync()
    {
        using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
        {
            foreach ((BlockNode node, _) in _made) await graph.ReleaseAsync(node).ConfigureAwait(false);
        }

        if (_isComplete) return;
        foreach ((_, string? path) in _made)
        {
            if (path is not null) File.Delete(path);
        }
    }
}
