using System.Runtime.CompilerServices;
using System.Threading.Tasks.Sources;

namespace Varve.IO;

// What a request's asynchronous method needs once it has to wait
//   1. A method that gets through without waiting touches nothing of this.
//   2. At its first wait its state moves into a box out of a pool, and stays there: the box is what the awaited calls and what the
//      caller awaits.
//   3. The box goes back when the caller has fetched the result. Requests begin on one thread and end on another, many at a time, so the
//      pool is one for all threads: that of PoolingAsyncValueTaskMethodBuilder keeps one for a thread and one for a core, and makes the
//      others anew (docs/decisions/0008).

/// <summary>For asynchronous methods on the request path that return <see cref="ValueTask"/>: nothing is allocated when they wait.</summary>
/// <remarks>The result can be awaited once, as with every <see cref="IValueTaskSource"/> that is used again.</remarks>
internal struct PooledMethodBuilder
{
    private MethodBox<bool>? _box;

    public static PooledMethodBuilder Create() => default;

    public readonly ValueTask Task => _box is { } box ? new ValueTask(box, box.Version) : default;

#pragma warning disable CA1822 // The compiler calls them on an instance.
    public readonly void Start<TStateMachine>(ref TStateMachine stateMachine)
        where TStateMachine : IAsyncStateMachine
        => default(AsyncValueTaskMethodBuilder).Start(ref stateMachine);

    public readonly void SetStateMachine(IAsyncStateMachine stateMachine) { }
#pragma warning restore CA1822

    public readonly void SetResult() => _box?.SetResult(true);

    public void SetException(Exception exception) => (_box ??= new MethodBox<bool>()).SetException(exception);

    public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : INotifyCompletion
        where TStateMachine : IAsyncStateMachine
        => awaiter.OnCompleted(MethodBox<bool, TStateMachine>.Take(ref _box, ref stateMachine));

    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion
        where TStateMachine : IAsyncStateMachine
        => awaiter.UnsafeOnCompleted(MethodBox<bool, TStateMachine>.Take(ref _box, ref stateMachine));
}

/// <summary>The same for methods that return <see cref="ValueTask{TResult}"/>.</summary>
internal struct PooledMethodBuilder<TResult>
{
    private MethodBox<TResult>? _box;
    private TResult _result;

    public static PooledMethodBuilder<TResult> Create() => default;

    public readonly ValueTask<TResult> Task => _box is { } box ? new ValueTask<TResult>(box, box.Version) : new ValueTask<TResult>(_result);

#pragma warning disable CA1822 // The compiler calls them on an instance.
    public readonly void Start<TStateMachine>(ref TStateMachine stateMachine)
        where TStateMachine : IAsyncStateMachine
        => default(AsyncValueTaskMethodBuilder).Start(ref stateMachine);

    public readonly void SetStateMachine(IAsyncStateMachine stateMachine) { }
#pragma warning restore CA1822

    public void SetResult(TResult result)
    {
        if (_box is { } box) box.SetResult(result);
        else _result = result;
    }

    public void SetException(Exception exception) => (_box ??= new MethodBox<TResult>()).SetException(exception);

    public void AwaitOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : INotifyCompletion
        where TStateMachine : IAsyncStateMachine
        => awaiter.OnCompleted(MethodBox<TResult, TStateMachine>.Take(ref _box, ref stateMachine));

    public void AwaitUnsafeOnCompleted<TAwaiter, TStateMachine>(ref TAwaiter awaiter, ref TStateMachine stateMachine)
        where TAwaiter : ICriticalNotifyCompletion
        where TStateMachine : IAsyncStateMachine
        => awaiter.UnsafeOnCompleted(MethodBox<TResult, TStateMachine>.Take(ref _box, ref stateMachine));
}

/// <summary>The result of a method that has waited, or that has failed at once.</summary>
internal class MethodBox<TResult> : IValueTaskSource, IValueTaskSource<TResult>
{
    private ManualResetValueTaskSourceCore<TResult> _core;

    public short Version => _core.Version;

    public void SetResult(TResult result) => _core.SetResult(result);

    public void SetException(Exception exception) => _core.SetException(exception);

    public TResult GetResult(short token)
    {
        // A second fetch must not take the box from whoever has it by then.
        if (_core.GetStatus(token) == ValueTaskSourceStatus.Pending) throw new InvalidOperationException("The method has not ended.");
        try
        {
            return _core.GetResult(token);
        }
        finally
        {
            _core.Reset();
            Return();
        }
    }

    void IValueTaskSource.GetResult(short token) => GetResult(token);

    public ValueTaskSourceStatus GetStatus(short token) => _core.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _core.OnCompleted(continuation, state, token, flags);

    /// <summary>The result has been fetched.</summary>
    protected virtual void Return() { }
}

/// <summary>The state of a method that has waited, and the pool of such boxes: every method has its own.</summary>
internal sealed class MethodBox<TResult, TStateMachine> : MethodBox<TResult>
    where TStateMachine : IAsyncStateMachine
{
    /// <summary>Boxes that wait for their next use, at most: more requests than a server lets a few clients have in flight.</summary>
    private const int Kept = 256;

    private static readonly ContextCallback s_moveNext = static box => ((MethodBox<TResult, TStateMachine>)box!)._stateMachine.MoveNext();
    private static readonly Lock s_lock = new();
    private static MethodBox<TResult, TStateMachine>? s_free;
    private static int s_freeCount;

    private readonly Action _continue;
    private TStateMachine _stateMachine = default!;
    private ExecutionContext? _context;
    private MethodBox<TResult, TStateMachine>? _nextFree;

    private MethodBox() => _continue = Continue;

    /// <summary>Puts the method's state into a box, unless it is in one already.</summary>
    /// <param name="box">The builder's, inside of the state.</param>
    /// <param name="stateMachine">The state.</param>
    /// <returns>What goes on with the method.</returns>
    public static Action Take(ref MethodBox<TResult>? box, ref TStateMachine stateMachine)
    {
        if (box is not MethodBox<TResult, TStateMachine> taken)
        {
            box = taken = Rent();   // first: the copy of the state has to hold it
            taken._stateMachine = stateMachine;
        }

        taken._context = ExecutionContext.Capture();
        return taken._continue;
    }

    private static MethodBox<TResult, TStateMachine> Rent()
    {
        lock (s_lock)
        {
            if (s_free is { } box)
            {
                (s_free, box._nextFree) = (box._nextFree, null);
                s_freeCount--;
                return box;
            }
        }

        return new();
    }

    protected override void Return()
    {
        (_stateMachine, _context) = (default!, null);
        lock (s_lock)
        {
            if (s_freeCount == Kept) return;
            (_nextFree, s_free) = (s_free, this);
            s_freeCount++;
        }
    }

    private void Continue()
    {
        if (_context is { } context) ExecutionContext.Run(context, s_moveNext, this);
        else _stateMachine.MoveNext();
    }
}
