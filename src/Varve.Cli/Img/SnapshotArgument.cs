using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>The argument of <c>-l</c>, where it names a snapshot to read instead of the image's present content.</summary>
internal static class SnapshotArgument
{
    /// <summary>Reads it.</summary>
    public static SnapshotSelector Parse(ToolConsole console, string argument)
    {
        try
        {
            return SnapshotSelector.Parse(argument);
        }
        catch (BlockException e)
        {
            console.ReportError(e.Message);
            throw new ToolException($"Failed in parsing snapshot param '{argument}'");
        }
    }

    /// <summary>Makes an image that was opened read-only show the snapshot.</summary>
    public static async ValueTask LoadAsync(ToolContext context, BlockBackend image, SnapshotSelector snapshot, CancellationToken cancellationToken)
    {
        try
        {
            using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            await InternalSnapshots.LoadAsync(image.Node, snapshot, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From("Failed to load snapshot: ", e);
        }
    }
}
