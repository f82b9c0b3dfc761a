using Varve.Graph;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>Changes a host file's length, with the space for it made ready as asked.</summary>
internal static class FileSpace
{
    /// <summary>Bytes at the beginning of a new file that are stored: in a hole nobody can find out which alignment direct I/O needs.</summary>
    private const int FirstBlock = 4096;

    /// <summary>Grows or shrinks a file. When it throws, a file that was to grow is as long as before. Blocks.</summary>
    /// <param name="file">The file.</param>
    /// <param name="length">How long it becomes.</param>
    /// <param name="preallocation">What is made ready.</param>
    /// <param name="progress">Called with the bytes written, of so many.</param>
    /// <exception cref="BlockException">The texts are the reference's.</exception>
    public static void Resize(HostFile file, long length, PreallocationMode preallocation, Action<long, long>? progress = null)
    {
        long before = file.Length;
        if (preallocation == PreallocationMode.Metadata)
        {
            throw new BlockException(BlockErrorKind.Unsupported, "Unsupported preallocation mode: metadata");
        }

        if (preallocation != PreallocationMode.Off && length < before)
        {
            throw new BlockException(BlockErrorKind.Invalid, "Cannot use preallocation for shrinking files");
        }

        if (preallocation == PreallocationMode.Off || length == before)
        {
            Try("Could not resize file", () => file.SetLength(length));
            if (before == 0 && length > 0) Try("Could not resize file", () => WriteZeros(file, 0, length < FirstBlock ? Math.Min(length, Align.SectorSize) : FirstBlock));
            return;
        }

        try
        {
            if (preallocation == PreallocationMode.Falloc)
            {
                Try("Could not preallocate new data", () =>
                {
                    if (!file.TryAllocate(before, length - before)) throw BlockException.FromErrno(Errno.EOPNOTSUPP);
                });
            }
            else
            {
                Try("Could not resize file", () => file.SetLength(length));
                Try("Could not write zeros for preallocation", () => WriteZeros(file, before, length - before, progress));
                Try("Could not flush file to disk", file.Flush);
            }
        }
        catch
        {
            file.SetLength(before);
            throw;
        }
    }

    private static void WriteZeros(HostFile file, long offset, long length, Action<long, long>? progress = null)
    {
        using IOBuffer zeros = IOBuffer.Rent((int)Math.Min(length, IOBuffer.MaxTransfer));
        zeros.Span.Clear();
        for (long done = 0; done < length;)
        {
            int piece = (int)Math.Min(length - done, zeros.Span.Length);
            file.Write(zeros.Span[..piece], offset + done);
            done += piece;
            progress?.Invoke(done, length);
        }
    }

    private static void Try(string what, Action step)
    {
        try
        {
            step();
        }
        catch (BlockException e)
        {
            throw BlockException.FromErrno(e.Errno, what);
        }
    }
}
