using Varve.Graph;

namespace Varve.Jobs;

/// <summary><c>x-blockdev-amend</c> as a job: raises status changes only, and stays listed until it is dismissed.</summary>
internal sealed class AmendJob(JobRegistry registry, string id, BlockNode node, AmendRequest request)
    : Job(registry, id, autoFinalize: true, autoDismiss: false)
{
    public override string Type => "amend";

    protected override async Task RunAsync()
    {
        SetTotal(1);
        try
        {
            await node.AmendAsync(request, CancellationToken.None).ConfigureAwait(false);
        }
        finally
        {
            Advance(1);
        }
    }

    protected override ValueTask CleanAsync() => Graph.ReleaseAsync(node);
}

internal sealed partial class JobRegistry
{
    /// <summary>Starts a job that amends an image. Needs the control lock; the work runs without it.</summary>
    public Job StartAmend(string id, BlockNode node, AmendRequest request)
    {
        CheckId(id);
        node.ExplicitReferences++;
        var job = new AmendJob(this, id, node, request);
        job.Create();
        job.Start();
        return job;
    }
}
