namespace Varve.Jobs;

/// <summary><c>blockdev-create</c> as a job: raises status changes only, and stays listed until it is dismissed.</summary>
internal sealed class CreateJob(JobRegistry registry, string id, Func<Task> create) : Job(registry, id, autoFinalize: true, autoDismiss: false)
{
    public override string Type => "create";

    protected override async Task RunAsync()
    {
        SetTotal(1);
        try
        {
            await create().ConfigureAwait(false);
        }
        finally
        {
            Advance(1);
        }
    }
}

internal sealed partial class JobRegistry
{
    /// <summary>Starts a job that creates an image. Needs the control lock; <paramref name="create"/> runs without it.</summary>
    public Job StartCreate(string id, Func<Task> create)
    {
        CheckId(id);
        var job = new CreateJob(this, id, create);
        job.Create();
        job.Start();
        return job;
    }
}
