using Varve.Filters.BlkDebug;

namespace Varve.Cli.Io.Commands;

/// <summary><c>resume</c>: lets a suspended request go on.</summary>
internal sealed class ResumeCommand : IoCommand
{
    public override string Name => "resume";

    public override string Arguments => "tag";

    public override string Summary => "resumes the request tagged as tag";

    public override int MinArguments => 1;

    public override int MaxArguments => 1;

    public override bool Waits => false;

    public override ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        try
        {
            if (!BlkDebugNode.FindBelow(engine.Image.Node).Rules.Resume(arguments[0])) throw BlockException.FromErrno(Errno.ENOENT);
            return new(true);
        }
        catch (BlockException e)
        {
            throw new IoRefusal($"Could not resume request: {Errno.Text(e.Errno)}\n");
        }
    }
}
