using Varve.Interop.Linux;

namespace Varve.IO;

// The threads that wait for the kernel
//   1. Work that may sleep in a system call runs here and nowhere else, so the runtime's thread pool, which grows slowly and serves
//      everybody's continuations, never has a thread stuck in a slow disk.
//   2. A queued item either has a waiting thread that will take it, or a new thread was started for it, or all threads are busy and
//      the first that is done takes it. _idle counts threads inside Monitor.Wait, woken ones included, and every item in the queue
//      claims one of them: hence the comparison with the length of the queue.

/// <summary>Runs blocking system calls on threads of its own: started when needed, gone when idle.</summary>
/// <param name="maxThreads">As many at once.</param>
/// <param name="name">What they are called.</param>
/// <param name="prepare">The first thing a new thread does.</param>
internal sealed class BlockingThreads(int maxThreads, string name = "varve-io", Action? prepare = null)
{
    private static readonly TimeSpan s_idleTime = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_shortestSlice = TimeSpan.FromMilliseconds(0.1);   // that Linux gives
    private readonly object _gate = new();
    private readonly Queue<IThreadPoolWorkItem> _queue = new();
    private int _idle, _count;

    /// <summary>The threads all files share; as many as the reference's pool has.</summary>
    public static BlockingThreads Shared { get; } = new(maxThreads: 64);

    /// <summary>The threads that jobs copy on: as many as half of the processors, in short slices.</summary>
    /// <remarks>Copying from memory to memory takes a processor for as long as it is let. A guest's request waits for one meanwhile, and for the
    /// lock of the file that a copier was writing to when it lost its own.</remarks>
    public static BlockingThreads Copying { get; } = new(
        Math.Max(1, Environment.ProcessorCount / 2), "varve-copy", OperatingSystem.IsLinux() ? () => _ = Libc.TrySetSlice(s_shortestSlice) : null);

    /// <summary>Runs an item soon. First come, first served; the item does not throw.</summary>
    public void Run(IThreadPoolWorkItem item)
    {
        lock (_gate)
        {
            _queue.Enqueue(item);
            if (_queue.Count <= _idle)
            {
                Monitor.Pulse(_gate);
                return;
            }

            if (_count == maxThreads) return;
            _count++;
        }

        new Thread(Work) { IsBackground = true, Name = name }.UnsafeStart();
    }

    /// <summary>Runs a call of the control plane, and hands on what it throws.</summary>
    public Task RunAsync(Action call)
    {
        var item = new Call(call);
        Run(item);
        return item.Task;
    }

    private void Work()
    {
        prepare?.Invoke();
        while (Next() is { } item) item.Execute();
    }

    private IThreadPoolWorkItem? Next()
    {
        lock (_gate)
        {
            IThreadPoolWorkItem? item;
            while (!_queue.TryDequeue(out item))
            {
                _idle++;
                bool woken = Monitor.Wait(_gate, s_idleTime);
                _idle--;
                if (woken || _queue.Count > 0) continue;
                _count--;
                return null;
            }

            return item;
        }
    }

    private sealed class Call(Action call) : IThreadPoolWorkItem
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Task => _done.Task;

        public void Execute()
        {
            try
            {
                call();
            }
#pragma warning disable CA1031 // Whatever it is, it belongs to the one who awaits.
            catch (Exception e)
#pragma warning restore CA1031
            {
                _done.SetException(e);
                return;
            }

            _done.SetResult();
        }
    }
}
