using Varve.IO;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>The requests of one connection that did not complete in the request loop: how many there may be, and their objects.</summary>
internal sealed class PendingRequests(ReplyStream replies, HeaderForm form, Action<Exception>? defectFound)
{
    /// <summary>Requests in flight; the loop waits beyond it.</summary>
    private const int MaxCount = 128;

    /// <summary>Bytes requests in flight may hold, together; one may always run.</summary>
    private const long MaxBytes = 64 << 20;

    private readonly object _gate = new();
    private readonly Stack<PendingRequest> _free = new();
    private int _count;
    private long _bytes;

    /// <summary>Called with what a request threw that no request should throw.</summary>
    public Action<Exception>? DefectFound => defectFound;

    /// <summary>Room for one more, waiting for it if need be. Replies gathered are sent before waiting: they may be what the client
    /// needs to go on.</summary>
    public PendingRequest Rent(in RequestHeader request, int heldBytes)
    {
        lock (_gate)
        {
            if (_count > 0 && (_count >= MaxCount || _bytes + heldBytes > MaxBytes)) WaitForRoom(heldBytes);
            _count++;
            _bytes += heldBytes;
            if (!_free.TryPop(out PendingRequest? pending)) pending = new PendingRequest(this, replies, form);
            pending.Begin(request, heldBytes);
            return pending;
        }
    }

    /// <summary>Waits until no request is in flight.</summary>
    public void WaitForAll()
    {
        lock (_gate)
        {
            while (_count > 0) Monitor.Wait(_gate);
        }
    }

    internal void Return(PendingRequest pending)
    {
        lock (_gate)
        {
            _count--;
            _bytes -= pending.HeldBytes;
            _free.Push(pending);
            Monitor.Pulse(_gate);
        }
    }

    private void WaitForRoom(int heldBytes)
    {
        Monitor.Exit(_gate);
        try
        {
            SubmissionBatch.Send();
            replies.Flush();
        }
        finally
        {
            Monitor.Enter(_gate);
        }

        while (_count > 0 && (_count >= MaxCount || _bytes + heldBytes > MaxBytes)) Monitor.Wait(_gate);
    }
}
