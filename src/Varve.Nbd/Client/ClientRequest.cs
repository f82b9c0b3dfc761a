using System.Threading.Tasks.Sources;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

// When a request is done
//   1. Two parties work on it: who sends it, and the thread that receives replies. A reply may come before all of the data of a WRITE
//      has been sent. The request is done when both are: only then may the caller's memory be used again.
//   2. A request whose connection ended is done without an answer: it may be sent again on another.

/// <summary>A request on its way, and what was answered. Pooled: sending one and waiting for it allocates nothing.</summary>
internal sealed class ClientRequest : IValueTaskSource<bool>
{
    private const int Sent = 1, Answered = 2;

    private ManualResetValueTaskSourceCore<bool> _done = new() { RunContinuationsAsynchronously = true };
    private int _parts;
    private bool _isLost;

    /// <summary>As sent, but for the cookie.</summary>
    public RequestHeader Header { get; private set; }

    /// <summary>Whether it changes what the export holds.</summary>
    public bool IsChange => Header.Command is CommandType.Write or CommandType.WriteZeroes or CommandType.Trim;

    /// <summary>Where the data of a READ goes.</summary>
    public Memory<byte> Target { get; private set; }

    /// <summary>The data of a WRITE.</summary>
    public ReadOnlyMemory<byte> Data { get; private set; }

    /// <summary>What the server said of it.</summary>
    public NbdError Error { get; set; }

    /// <summary>Bytes of <see cref="Target"/> that chunks have filled.</summary>
    public long Received { get; set; }

    /// <summary>The first extent of a BLOCK_STATUS: bytes and state. Null: none has come.</summary>
    public (ulong Length, ulong State)? Extent { get; set; }

    /// <summary>Done: true with an answer, false when the connection ended before one came.</summary>
    public ValueTask<bool> Task => new(this, _done.Version);

    /// <summary>A new request.</summary>
    public void Set(CommandType command, CommandFlags flags, long offset, long length, Memory<byte> target = default, ReadOnlyMemory<byte> data = default)
    {
        Header = new(command, flags, Cookie: 0, (ulong)offset, (ulong)length);
        (Target, Data) = (target, data);
    }

    /// <summary>Lets go of the caller's memory.</summary>
    public void Clear() => (Target, Data) = (default, default);

    /// <summary>Before it is sent, for the first time or again.</summary>
    public void Begin()
    {
        _done.Reset();
        (_parts, _isLost, Error, Received, Extent) = (0, false, NbdError.None, 0, null);
    }

    /// <summary>The sender does not touch it any more.</summary>
    public void OnSent() => Finish(Sent);

    /// <summary>The receiver does not touch it any more.</summary>
    /// <param name="isLost">The connection has ended without an answer.</param>
    public void OnAnswered(bool isLost)
    {
        _isLost = isLost;
        Finish(Answered);
    }

    private void Finish(int part)
    {
        if ((Interlocked.Or(ref _parts, part) | part) == (Sent | Answered)) _done.SetResult(!_isLost);
    }

    bool IValueTaskSource<bool>.GetResult(short token) => _done.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<bool>.GetStatus(short token) => _done.GetStatus(token);

    void IValueTaskSource<bool>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags)
        => _done.OnCompleted(continuation, state, token, flags);
}
