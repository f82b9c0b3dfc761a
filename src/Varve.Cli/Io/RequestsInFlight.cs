namespace Varve.Cli.Io;

/// <summary>Requests that were started and not waited for.</summary>
internal sealed class RequestsInFlight
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = [];

    /// <summary>Starts one; it prints its own outcome.</summary>
    public void Start(Func<Task> request)
    {
        Task task = request();   // runs on this thread until it has to wait
        if (task.IsCompletedSuccessfully) return;
        lock (_lock) _tasks.Add(task);
        _ = task.ContinueWith(Remove, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Waits for all of them, those that come meanwhile included.</summary>
    public async ValueTask WaitAsync()
    {
        while (true)
        {
            Task[] tasks;
            lock (_lock) tasks = [.. _tasks];
            if (tasks.Length == 0) return;
            await Task.WhenAll(tasks).ConfigureAwait(false);
            lock (_lock) _tasks.ExceptWith(tasks);
        }
    }

    private void Remove(Task task)
    {
        if (task.IsFaulted) return;   // its exception is for whoever waits
        lock (_lock) _tasks.Remove(task);
    }
}
