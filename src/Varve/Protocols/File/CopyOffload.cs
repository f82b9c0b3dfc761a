using Varve.Formats.Raw;
using Varve.Graph;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>Copies between files without the data passing through this process.</summary>
internal static class CopyOffload
{
    /// <summary>The file a node shows unchanged; null where its bytes are not those of a file.</summary>
    public static FileNode? FileOf(BlockNode node) => node switch
    {
        FileNode file => file,
        RawNode { IsWhole: true, PrimaryChild.Node: FileNode file } => file,
        _ => null,
    };

    /// <summary>Lets the kernel copy a range. Must run as a request of a backend that may write to the target.</summary>
    /// <returns>False when the kernel cannot: the range of the target then holds anything, and is to be written as usual.</returns>
    public static async ValueTask<bool> TryCopyAsync(FileNode source, long sourceOffset, FileNode target, long offset, long length)
    {
        bool done = false;
        await BlockingThreads.Shared.RunAsync(() => done = target.TryCopyFrom(source, sourceOffset, offset, length)).ConfigureAwait(false);
        return done;
    }
}
