using Varve.Graph;

namespace Varve.Cli.Images;

/// <summary>What to do about an image that another process has open: said under the reference's own question and the holder's name.</summary>
internal static class InUseAdvice
{
    /// <summary>A failure to open, with advice where it is a lock that stood in the way.</summary>
    /// <param name="failure">As the block layer reports it.</param>
    /// <param name="settings">How the image was to be opened.</param>
    /// <param name="takesForceShare">Whether the command has <c>-U</c>.</param>
    public static BlockException AddTo(BlockException failure, NodeSettings settings, bool takesForceShare)
    {
        // A second name of the same image within one command is not for the person to stop.
        if (failure is not { Kind: BlockErrorKind.InUse, Errno: Errno.EAGAIN, Hint: { } hint } || hint.EndsWith("this process.", StringComparison.Ordinal)) return failure;
        string advice = settings switch
        {
            { ReadOnly: true, ForceShare: false } when takesForceShare => "Option -U reads it all the same; what is being written meanwhile may show half done.",
            { ReadOnly: true } => "Try again when it is closed, or stop who has it open.",
            _ => "Stop who has it open first, or have that process make the change: a running QEMU or storage daemon does it over QMP.",
        };
        return new BlockException(failure.Kind, failure.Message, failure) { Errno = failure.Errno, Hint = $"{hint}\n{advice}" };
    }
}
