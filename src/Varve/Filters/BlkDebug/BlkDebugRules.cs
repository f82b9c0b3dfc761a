using Varve.Graph;

namespace Varve.Filters.BlkDebug;

/// <summary>The rules of one node at work: the state, which errors are injected now, which requests are suspended.</summary>
/// <remarks>One lock, held to decide; nothing waits under it.</remarks>
internal sealed class BlkDebugRules
{
    private readonly Lock _lock = new();
    private readonly List<BlkDebugRule> _rules = [];
    private readonly List<InjectErrorRule> _active = [];
    private readonly List<(string Tag, TaskCompletionSource Request)> _suspended = [];
    private TaskCompletionSource? _newSuspension;
    private int _state = 1;

    /// <summary>Told of each request that is suspended and resumed.</summary>
    public Action<string>? Say { get; init; }

    public void Add(BlkDebugRule rule)
    {
        lock (_lock) _rules.Add(rule);
    }

    /// <summary>An event came: errors become active, the state changes, or the request waits.</summary>
    /// <remarks>The rules of an event all see the state in which it came.</remarks>
    public ValueTask ProcessAsync(BlkdebugEvent happened)
    {
        Task? wait = null;
        lock (_lock)
        {
            bool injects = false;
            int newState = _state;
            for (int i = 0; i < _rules.Count; i++)
            {
                BlkDebugRule rule = _rules[i];
                if (rule.Event != happened || (rule.State != 0 && rule.State != _state)) continue;
                switch (rule)
                {
                    case InjectErrorRule inject:
                        if (!injects) _active.Clear();
                        injects = true;
                        _active.Insert(0, inject);
                        break;
                    case SetStateRule set:
                        newState = set.NewState;
                        break;
                    case BreakpointRule breakpoint:
                        _rules.RemoveAt(i--);   // it stops one request
                        wait = Suspend(breakpoint.Tag);
                        break;
                }
            }

            _state = newState;
        }

        return wait is null ? default : new(wait);
    }

    /// <summary>The rule that makes a request fail, or null.</summary>
    public InjectErrorRule? Check(long offset, long length, BlkDebugIOTypes type)
    {
        lock (_lock)
        {
            InjectErrorRule? rule = _active.Find(r => r.Matches(offset, length, type));
            if (rule is null || rule.Errno == 0) return null;
            if (rule.Once)
            {
                _active.RemoveAll(r => ReferenceEquals(r, rule));
                _rules.RemoveAll(r => ReferenceEquals(r, rule));
            }

            return rule;
        }
    }

    /// <summary>Lets requests suspended under <paramref name="tag"/> go on: the oldest, or all of them.</summary>
    /// <returns>Whether there was one.</returns>
    public bool Resume(string tag, bool all = false)
    {
        var resumed = new List<TaskCompletionSource>();
        lock (_lock)
        {
            for (int i = 0; i < _suspended.Count && (all || resumed.Count == 0);)
            {
                if (_suspended[i].Tag != tag)
                {
                    i++;
                    continue;
                }

                resumed.Add(_suspended[i].Request);
                _suspended.RemoveAt(i);
            }
        }

        foreach (TaskCompletionSource request in resumed)
        {
            Say?.Invoke($"blkdebug: Resuming request '{tag}'");
            request.SetResult();
        }

        return resumed.Count > 0;
    }

    /// <summary>Removes breakpoints with <paramref name="tag"/>, and lets what they stopped go on.</summary>
    /// <returns>Whether there was one; a breakpoint that has stopped a request is none any more.</returns>
    public bool RemoveBreakpoint(string tag)
    {
        bool removed;
        lock (_lock) removed = _rules.RemoveAll(r => r is BreakpointRule breakpoint && breakpoint.Tag == tag) > 0;
        Resume(tag, all: true);
        return removed;
    }

    public bool IsSuspended(string tag)
    {
        lock (_lock) return _suspended.Exists(s => s.Tag == tag);
    }

    /// <summary>Waits until a request is suspended under <paramref name="tag"/>.</summary>
    public async Task WaitSuspendedAsync(string tag, CancellationToken cancellationToken)
    {
        while (true)
        {
            Task next;
            lock (_lock)
            {
                if (_suspended.Exists(s => s.Tag == tag)) return;
                next = (_newSuspension ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }

            await next.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    private Task Suspend(string tag)
    {
        var request = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Say?.Invoke($"blkdebug: Suspended request '{tag}'");
        _suspended.Add((tag, request));
        _newSuspension?.SetResult();
        _newSuspension = null;
        return request.Task;
    }
}
