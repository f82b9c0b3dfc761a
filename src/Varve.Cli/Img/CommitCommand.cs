using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;
using Varve.Jobs;

namespace Varve.Cli.Img;

// A crash at any moment leaves a chain that reads as before: the base is durable before anything is taken from the top, and until then
// the top still covers it.

/// <summary><c>img commit</c>: moves what an image holds into its backing image, or into one further down.</summary>
internal sealed class CommitCommand : ImgCommand
{
    private static readonly TimeSpan s_pollInterval = TimeSpan.FromMilliseconds(100);

    private string? _format, _base;
    private bool _isOptions, _keepsTop, _showProgress, _quiet;
    private string _cacheWord = "writeback";
    private long _rate;

    internal protected override OptionTable Options { get; } = new(
        "f:ht:b:dpqr:", ("help", "h"), ("object:", null), ("image-opts", null), ("rate-limit:", "r"), OptionTable.Progress);

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "f": _format = argument; break;
            case "t": _cacheWord = argument; break;
            case "b":
                _base = argument;
                _keepsTop = true;
                break;
            case "d": _keepsTop = true; break;
            case "p": _showProgress = true; break;
            case "q": _quiet = true; break;
            case "r": _rate = SizeArgument.Parse(context.Console, "rate limit", argument); break;
            case "image-opts": _isOptions = true; break;
        }
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        CacheMode cache = CacheMode.TryParse(_cacheWord) ?? throw new ToolException($"Invalid cache option: {_cacheWord}");
        var argument = new ImageArgument(operands[0], _format, _isOptions) { Settings = cache.Apply(new() { ReadOnly = false, Discard = true }) };
        BlockBackend image = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        BlockNode top = image.Node, receiver = FindBase(top, operands[0]);
        using ProgressMeter progress = OpenProgress(context, "commit", _showProgress && !_quiet);
        top.ExplicitReferences++;   // after the commit nothing else holds it, and it is still to be emptied
        await RunJobAsync(context.Graph, top, receiver, progress, cancellationToken).ConfigureAwait(false);
        await context.CloseAsync(image).ConfigureAwait(false);
        if (!_keepsTop && top.SkipFilters().CanBecomeEmpty) await EmptyAsync(context, top, operands[0], cancellationToken).ConfigureAwait(false);
        using (await context.Graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
        {
            await context.Graph.ReleaseAsync(top).ConfigureAwait(false);
        }

        progress.Finish();
        if (!_quiet) context.Console.Out.Write("Image committed.\n");
        return 0;
    }

    private BlockNode FindBase(BlockNode top, string name)
    {
        if (_base is not null)
        {
            return BackingChain.FindImage(top, _base) ?? throw new ToolException($"Did not find '{_base}' in the backing chain of '{name}'");
        }

        return BackingChain.Next(top) ?? throw new ToolException("Image does not have a backing file");
    }

    private async ValueTask RunJobAsync(BlockGraph graph, BlockNode top, BlockNode receiver, ProgressMeter progress, CancellationToken cancellationToken)
    {
        var jobs = new JobRegistry(graph);
        var ready = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        jobs.Occurred += e =>
        {
            if (e is BlockJobReady) ready.TrySetResult();
        };
        BlockJob job;
        using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            var options = new CommitOptions(top.NodeName) { JobId = "commit", BaseNode = receiver.NodeName, Speed = _rate };
            job = await jobs.StartCommitAsync(top, options, cancellationToken).ConfigureAwait(false);
        }

        await FollowAsync(job, ready.Task, progress).ConfigureAwait(false);
        if (!job.Completion.IsCompleted)
        {
            using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false)) job.Complete();
            await job.Completion.ConfigureAwait(false);
        }

        if (job.Error is { } error) throw new ToolException($"Block job failed: {error}");
    }

    /// <summary>Shows how far the job is until it has copied everything, or failed.</summary>
    private static async ValueTask FollowAsync(BlockJob job, Task ready, ProgressMeter progress)
    {
        Task end = Task.WhenAny(job.Completion, ready);
        while (!end.IsCompleted)
        {
            await Task.WhenAny(end, Task.Delay(s_pollInterval)).ConfigureAwait(false);
            if (job.TotalProgress > 0) progress.Report(job.CurrentProgress, job.TotalProgress);
        }
    }

    private static async ValueTask EmptyAsync(ToolContext context, BlockNode top, string name, CancellationToken cancellationToken)
    {
        try
        {
            BlockBackend image;
            using (await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                image = await context.Graph.OpenBackendAsync(top, BlockPermissions.Write, BlockPermissions.All, cancellationToken: cancellationToken)
                    .ConfigureAwait(false);
            }

            try
            {
                await image.RunAsync(
                    static async (node, _, ct) =>
                    {
                        await node.SkipFilters().MakeEmptyAsync(ct).ConfigureAwait(false);
                        return true;
                    },
                    0,
                    cancellationToken).ConfigureAwait(false);
            }
            finally
            {
                await context.CloseAsync(image).ConfigureAwait(false);
            }
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Failed to empty {name}: ", e);
        }
    }
}
