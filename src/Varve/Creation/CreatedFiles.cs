using System.Text.Json.Nodes;
using Varve.Graph;

namespace Varve.Creation;

/// <summary>The files made for one image: open while it is created, and gone again if that fails, for half an image is of no use.</summary>
internal sealed class CreatedFiles(BlockGraph graph) : IAsyncDisposable
{
    private readonly List<(BlockNode Node, string Filename)> _made = [];
    private bool _isComplete;

    /// <summary>Makes an empty file and opens it.</summary>
    /// <returns>The name of its node.</returns>
    public async ValueTask<string> MakeAsync(string filename, CreationOptionValues values, CancellationToken cancellationToken)
    {
        await FileCreation.CreateFileAsync(graph, filename, size: "0", preallocation: null, values, cancellationToken).ConfigureAwait(false);
        JsonObject options = graph.Drivers.Find("file")!.ParseFilename(filename);
        options["driver"] = "file";
        using IDisposable held = await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext(), cancellationToken: cancellationToken).ConfigureAwait(false);
        _made.Add((node, filename));
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
        foreach ((_, string filename) in _made) File.Delete((string)graph.Drivers.Find("file")!.ParseFilename(filename)["filename"]!);
    }
}
