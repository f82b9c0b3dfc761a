using Varve.IO;

namespace Varve.Protocols.File.Engines;

/// <summary>How a file's requests that may have to wait are carried out: the <c>aio</c> option. What they do is the same.</summary>
/// <remarks>Every engine comes after the inline one: what the page cache holds is read, and what it takes is written, in the caller.</remarks>
internal abstract class FileEngine
{
    /// <summary>System calls on threads of their own: <c>aio=threads</c>.</summary>
    public static FileEngine Threads { get; } = new ThreadEngine();

    /// <summary>io_uring where the kernel allows it, else threads: <c>aio=io_uring</c>, and <c>aio=native</c>, whose own interface io_uring has replaced.</summary>
    public static FileEngine Uring => UringEngine.Shared ?? Threads;

    /// <summary>Begins a request. It may have ended, on another thread, before this returns.</summary>
    public abstract void Start(FileRequest request);

    private sealed class ThreadEngine : FileEngine
    {
        public override void Start(FileRequest request) => BlockingThreads.Shared.Run(request);
    }
}
