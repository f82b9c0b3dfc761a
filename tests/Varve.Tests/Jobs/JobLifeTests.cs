using Varve.Graph;
using Varve.Jobs;
using Varve.Tests.Support;

namespace Varve.Tests.Jobs;

public sealed class JobLifeTests
{
    [Fact]
    public async Task A_paused_job_stays_where_it_is_until_it_is_resumed()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        await JobFixture.UntilAsync(() => job.CurrentProgress == 512 << 10);
        await fixture.CommandAsync(job.Pause);
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Paused);
        await RefusedAsync(fixture, job.Pause, "Job is already paused");
        await RefusedAsync(fixture, () => job.CancelAsync(force: false), "The block job for device 'j' is currently paused");
        await fixture.CommandAsync(() => job.SetSpeed(0));
        await Task.Delay(50, TestContext.Current.CancellationToken);
        Assert.Equal(512 << 10, job.CurrentProgress);

        await fixture.CommandAsync(job.Resume);
        await job.EndAsync();
        Assert.Equal(
            ["created", "running", "paused", "running", "waiting", "pending", "BLOCK_JOB_COMPLETED 2097152/2097152", "concluded", "null"],
            fixture.Events);
    }

    /// <summary>The limit is taken away between the job's look at it and its sleep.</summary>
    [Fact]
    public async Task A_change_of_speed_wakes_a_job_that_is_about_to_sleep()
    {
        for (int round = 0; round < 100; round++)
        {
            var time = new ObservedTime();
            await using JobFixture fixture = await JobFixture.WithChainAsync(time);
            BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
            await JobFixture.UntilAsync(() => job.CurrentProgress == 512 << 10 && !job.IsBusy);
            using var going = new ManualResetEventSlim();
            var changer = new Thread(() =>
            {
                going.Set();
                job.SetSpeed(0);
            });
            time.Looked = () =>
            {
                time.Looked = null;
                changer.Start();
                going.Wait();
                Thread.SpinWait(1000);   // by now it waits for the lock that this thread holds
            };
            job.SetSpeed(2);   // the job wakes, and looks at the time to see how long it has to sleep
            await job.EndAsync();
            changer.Join();
        }
    }

    [Fact]
    public async Task Verbs_are_refused_where_the_status_does_not_accept_them()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1, AutoFinalize = false, AutoDismiss = false });
        await RefusedAsync(fixture, job.Complete, "Job 'j' in state 'running' cannot accept command verb 'complete'");
        await RefusedAsync(fixture, () => job.FinalizeAsync(), "Job 'j' in state 'running' cannot accept command verb 'finalize'");
        await RefusedAsync(fixture, job.Dismiss, "Job 'j' in state 'running' cannot accept command verb 'dismiss'");
        await RefusedAsync(fixture, job.Change, "Job type does not support change");
        await RefusedAsync(fixture, job.Resume, "Can't resume a job that was not paused");
        await RefusedAsync(fixture, () => job.SetSpeed(-1), "Parameter 'speed' expects a non-negative value");
        await fixture.CommandAsync(() => job.SetSpeed(0));
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Pending);
        await RefusedAsync(fixture, job.Pause, "Job 'j' in state 'pending' cannot accept command verb 'pause'");
        await RefusedAsync(fixture, () => job.SetSpeed(0), "Job 'j' in state 'pending' cannot accept command verb 'set-speed'");
    }

    [Fact]
    public async Task With_auto_finalize_off_the_job_concludes_inside_the_finalize_command()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { AutoFinalize = false, AutoDismiss = false });
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Pending);
        Assert.Equal(["created", "running", "waiting", "pending", "BLOCK_JOB_PENDING"], fixture.Events);
        Assert.NotNull(fixture["top"].BackingChild);

        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            await job.FinalizeAsync();
            Assert.Equal(["BLOCK_JOB_COMPLETED 2097152/2097152", "concluded"], fixture.Events.Skip(5));
            Assert.Same(job, fixture.Jobs.Find("j"));
            job.Dismiss();
        }

        Assert.Equal("null", fixture.Events[^1]);
        Assert.Null(fixture.Jobs.Find("j"));
    }

    [Fact]
    public async Task A_failure_while_finalizing_is_told_by_the_job_not_by_the_command()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { AutoFinalize = false, AutoDismiss = false });
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Pending);
        fixture["top"].OnHeaderWrite = _ => throw BlockException.FromErrno(Errno.EIO);
        await fixture.CommandAsync(() => job.FinalizeAsync().AsTask());
        Assert.Equal(["aborting", "BLOCK_JOB_COMPLETED 2097152/2097152 Input/output error", "concluded"], fixture.Events.Skip(5));
        Assert.Equal(("Input/output error", JobStatus.Concluded), (job.GetInfo().Error, job.GetInfo().Status));
    }

    [Fact]
    public async Task Cancelling_keeps_what_was_copied_and_the_header()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        await JobFixture.UntilAsync(() => job.CurrentProgress > 0);
        await fixture.CommandAsync(() => job.CancelAsync(force: false).AsTask());
        await job.EndAsync();
        Assert.Equal(["created", "running", "aborting", "BLOCK_JOB_CANCELLED 524288/2097152", "concluded", "null"], fixture.Events);
        Assert.Equal(8, fixture["top"].Allocated.Count);
        Assert.Equal(0, fixture["top"].Header.Writes);
        Assert.Same(fixture["mid"], fixture["top"].BackingChild!.Node);
    }

    [Fact]
    public async Task A_pending_job_is_cancelled_inside_the_command()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { AutoFinalize = false });
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Pending);
        await fixture.CommandAsync(() => job.CancelAsync(force: true).AsTask());
        Assert.Equal(["aborting", "BLOCK_JOB_CANCELLED 2097152/2097152", "concluded", "null"], fixture.Events.Skip(5));
        Assert.Equal(0, fixture["top"].Header.Writes);
    }

    [Fact]
    public async Task A_job_a_user_paused_is_cancelled_by_force()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1, AutoDismiss = false });
        await fixture.CommandAsync(job.Pause);
        await JobFixture.UntilAsync(() => job.Status == JobStatus.Paused);
        await fixture.CommandAsync(() => job.CancelAsync(force: true).AsTask());
        await job.EndAsync();
        Assert.Equal("Operation canceled", job.GetInfo().Error);
        Assert.Equal(["paused", "running", "aborting"], fixture.Events.SkipWhile(e => e != "paused").Take(3));
    }

    [Fact]
    public async Task A_drained_section_pauses_the_job_and_lets_it_go_on()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        await JobFixture.UntilAsync(() => job.CurrentProgress > 0);
        using (await BlockGraph.DrainAsync([fixture["mid"]]))
        {
            Assert.Equal(JobStatus.Paused, job.Status);
            await fixture.CommandAsync(() => job.SetSpeed(0));
            await Task.Delay(30, TestContext.Current.CancellationToken);
            Assert.Equal(512 << 10, job.CurrentProgress);
        }

        await job.EndAsync();
        Assert.Equal(["created", "running", "paused", "running", "waiting"], fixture.Events.Take(5));
        Assert.Null(job.Error);
    }

    [Fact]
    public async Task Many_drained_sections_beside_an_unlimited_stream_neither_hang_nor_hurt()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        fixture["base"].OnRequest = async (_, _, _) => await Task.Yield();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top"));
        while (!job.Completion.IsCompleted)
        {
            using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
            {
                using DrainedSection drained = await BlockGraph.DrainAsync([fixture["top"]]);
            }

            await Task.Yield();
        }

        Assert.Null(job.Error);
        Assert.Null(fixture["top"].BackingChild);
    }

    [Fact]
    public async Task The_speed_is_shown_and_can_be_changed()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        BlockJob job = await fixture.StreamAsync(new StreamOptions("top") { Speed = 4 << 20 });
        Assert.Equal(4 << 20, job.GetBlockJobInfo().Speed);
        await fixture.CommandAsync(() => job.SetSpeed(8 << 20));
        Assert.Equal(8 << 20, job.GetBlockJobInfo().Speed);
        await job.EndAsync();
    }

    [Fact]
    public async Task Shutting_down_cancels_running_pending_and_concluded_jobs()
    {
        await using JobFixture fixture = await JobFixture.WithChainAsync();
        (await fixture.AddAsync("b2")).Fill(0, JobFixture.Size, 3);
        await fixture.AddAsync("t2", "b2");
        BlockJob running = await fixture.StreamAsync(new StreamOptions("top") { Speed = 1 });
        BlockJob concluded = await fixture.StreamAsync(new StreamOptions("t2") { JobId = "k", AutoDismiss = false });
        await concluded.EndAsync();
        await fixture.Jobs.CancelAllAsync();
        Assert.Empty(fixture.Jobs.Jobs);
        Assert.True(running.IsCancelled);
        Assert.Equal(0, fixture["top"].Header.Writes);
    }

    [Fact]
    public async Task A_create_job_raises_status_changes_only_and_stays_until_dismissed()
    {
        await using var fixture = new JobFixture();
        Job job;
        using (await fixture.Graph.ControlLock.EnterAsync(TestContext.Current.CancellationToken))
        {
            job = fixture.Jobs.StartCreate("c", () => Task.FromException(new BlockException(BlockErrorKind.Invalid, "no such thing")));
        }

        await job.EndAsync();
        Assert.Equal(["created", "running", "aborting", "concluded"], fixture.Events);
        Assert.Equal(new JobInfo("c", "create", JobStatus.Concluded, 1, 1, "no such thing"), job.GetInfo());
        Assert.Null(fixture.Jobs.FindBlockJob("c"));
    }

    private static Task RefusedAsync(JobFixture fixture, Action command, string message)
        => fixture.CommandAsync(() => Assert.Equal(message, Assert.Throws<BlockException>(command).Message));

    private static Task RefusedAsync(JobFixture fixture, Func<ValueTask> command, string message)
        => fixture.CommandAsync(async () => Assert.Equal(message, (await Assert.ThrowsAsync<BlockException>(async () => await command())).Message));

    private sealed class ObservedTime : TimeProvider
    {
        public Action? Looked { get; set; }

        public override long GetTimestamp()
        {
            Looked?.Invoke();
            return base.GetTimestamp();
        }
    }
}
