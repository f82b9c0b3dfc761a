using System.Threading.Channels;

namespace Varve.Qmp.Server;

// The queue towards one client
//   1. Replies wait for the client: the next command is not taken up while the queue is over its soft limit.
//   2. Events cannot wait, they come from elsewhere. A client that reads so slowly that they pass the hard limit is cut off:
//      a stream with a hole in it would be worse for it than an end, and nobody else may pay for it.

/// <summary>What is to be sent to one client, in order.</summary>
internal sealed class QmpOutput(int softLimit = 1 << 20, int hardLimit = 16 << 20)
{
    private readonly Lock _lock = new();
    private readonly Channel<byte[]> _lines = Channel.CreateUnbounded<byte[]>(new UnboundedChannelOptions { SingleReader = true });
    private TaskCompletionSource? _room;
    private long _bytes;

    /// <summary>Queues a line; once closed, drops it.</summary>
    /// <returns>False when the client is too far behind: it is to be cut off.</returns>
    public bool TryEnqueue(byte[] line)
    {
        lock (_lock)
        {
            if (_bytes > 0 && _bytes + line.Length > hardLimit) return false;
            if (_lines.Writer.TryWrite(line)) _bytes += line.Length;
            return true;
        }
    }

    /// <summary>Waits until the client has taken enough for another command.</summary>
    public Task WaitForRoomAsync()
    {
        lock (_lock)
        {
            return _bytes < softLimit ? Task.CompletedTask : (_room ??= new(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
        }
    }

    /// <summary>Sends line after line until the queue is closed and empty.</summary>
    public async Task SendAsync(IByteChannel channel, CancellationToken cancellationToken)
    {
        await foreach (byte[] line in _lines.Reader.ReadAllAsync(cancellationToken).ConfigureAwait(false))
        {
            await channel.WriteAsync(line, cancellationToken).ConfigureAwait(false);
            TaskCompletionSource? room = null;
            lock (_lock)
            {
                _bytes -= line.Length;
                if (_bytes < softLimit) (room, _room) = (_room, null);
            }

            room?.SetResult();
        }
    }

    /// <summary>No more is queued; what is queued is still sent.</summary>
    public void Close() => _lines.Writer.TryComplete();
}
