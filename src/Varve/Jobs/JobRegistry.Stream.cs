namespace Varve.Jobs;

internal sealed partial class JobRegistry
{
    /// <summary><c>block-stream</c>. Needs the control lock. Created and running are told before this returns.</summary>
    /// <exception cref="BlockException">An argument was refused, in the reference's words and order; nothing has changed.</exception>
    public ValueTask<BlockJob> StartStreamAsync(StreamOptions options, CancellationToken cancellationToken = default)
        => StreamJob.StartAsync(this, options, cancellationToken);
}
