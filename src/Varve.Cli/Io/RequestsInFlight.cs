using System.Text;

namespace Varve.Cli.Io;

/// <summary>Requests that were started and not waited for.</summary>
/// <param name="output">Where their outcomes are printed.</param>
/// <remarks>
/// An outcome comes out only while somebody waits: a command that does, or the prompt for input that is not there yet. A request may be
/// done before its command is, or long after the next ones; printed at once, its place among what these print would be chance.
/// </remarks>
internal sealed class RequestsInFlight(IoOutput output)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = [];
    private readonly StringBuilder _outcomes = new();
    private int _waiting;

    /// <summary>Starts one, which is handed what prints its outcome.</summary>
    public void Start(Func<Action<string>, Task> request)
    {
        Task task = RunAsync(request);   // runs on this thread until it has to wait
        if (task.IsCompletedSuccessfully) return;
        lock (_lock) _tasks.Add(task);
        _ = task.ContinueWith(Remove, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Prints the outcomes there are, and those that come until the result is disposed of.</summary>
    public IDisposable PrintOutcomes() => new Waiting(this);

    /// <summary>Waits for all of them, those that come meanwhile included, and prints their outcomes.</summary>
    public async ValueTask WaitAsync()
    {
        using IDisposable printing = PrintOutcomes();
        while (true)
        {
            Task[] tasks;
            lock (_lock) tasks = [.. _tasks];
            if (tasks.Length == 0) return;
            await Task.WhenAll(tasks).ConfigureAwait(false);
            lock (_lock) _tasks.ExceptWith(tasks);
        }
    }

    private async Task RunAsync(Func<Action<string>, Task> request)
    {
        var outcome = new StringBuilder();
        await request(text => outcome.Append(text)).ConfigureAwait(false);
        lock (_lock)
        {
            _outcomes.Append(outcome);
            if (_waiting > 0) Print();
        }
    }

    private void Print()
    {
        if (_outcomes.Length == 0) return;
        output.Print(_outcomes.ToString());
        output.Flush();
        _outcomes.Clear();
    }

    private void Remove(Task task)
    {
        if (task.IsFaulted) return;   // its exception is for whoever waits
        lock (_lock) _tasks.Remove(task);
    }

    private sealed class Waiting : IDisposable
    {
        private readonly RequestsInFlight _requests;

        public Waiting(RequestsInFlight requests)
        {
            _requests = requests;
            lock (requests._lock)
            {
                requests._waiting++;
                requests.Print();
            }
        }

        public void Dispose()
        {
            lock (_requests._lock) _requests._waiting--;
        }
    }
}
