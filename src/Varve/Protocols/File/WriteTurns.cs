namespace Varve.Protocols.File;

// Who writes into a file's page cache
//   1. The kernel lets one writer at a time into a file. A writer that has gone to sleep for its turn is overtaken by those that come
//      running, again and again: beside a job that copies, a guest's write of one block waited 4 ms, after which Linux hands over.
//   2. So large writes go one at a time, in their order and in pieces, and before each piece let as many small writes end as have begun. A
//      small write waits for one piece; it takes no lock. A piece sleeps until its turn: spinning would take the processor of whoever has it.
//   3. A piece waits for a millisecond at most: a small write that the disk keeps does not keep the others.

/// <summary>Lets small writes to a file go ahead of large ones.</summary>
/// <param name="longestWaitMs">What a piece waits for small writes, at most.</param>
internal sealed class WriteTurns(int longestWaitMs = 1)
{
    /// <summary>Bytes of a piece of a large write.</summary>
    public const int PieceLength = 128 << 10;

    /// <summary>Bytes of a small write, at most: a cluster, most of which a guest's write brings along when it is the first into it.</summary>
    private const int SmallLength = 64 << 10;

    private readonly object _reached = new(), _large = new();
    private long _nextTicket, _ticket;   // of large pieces
    private long _begun, _ended, _awaited = long.MaxValue;   // small writes, counted

    public static bool IsLarge(int length) => length > SmallLength;

    /// <summary>Large pieces that have the turn or wait for it.</summary>
    public long LargePieces
    {
        get { lock (_large) return _nextTicket - _ticket; }
    }

    public void BeginSmall() => Interlocked.Increment(ref _begun);

    public void EndSmall()
    {
        if (Interlocked.Increment(ref _ended) < Volatile.Read(ref _awaited)) return;
        lock (_reached) Monitor.Pulse(_reached);
    }

    /// <summary>Until it is disposed other large pieces wait, and come in the order of their calls.</summary>
    /// <returns>Small writes that had begun have ended, or others in their place, or they have had their time.</returns>
    public LargePiece BeginLargePiece()
    {
        lock (_large)
        {
            for (long ticket = _nextTicket++; _ticket != ticket;) Monitor.Wait(_large);
        }

        long begun = Volatile.Read(ref _begun);
        if (Volatile.Read(ref _ended) < begun) AwaitSmall(begun);
        return new LargePiece(this);
    }

    private void EndLargePiece()
    {
        lock (_large)
        {
            _ticket++;
            Monitor.PulseAll(_large);
        }
    }

    /// <summary>The turn of a large piece.</summary>
    public readonly struct LargePiece(WriteTurns turns) : IDisposable
    {
        public void Dispose() => turns.EndLargePiece();
    }

    private void AwaitSmall(long count)
    {
        lock (_reached)
        {
            Interlocked.Exchange(ref _awaited, count);   // before _ended is looked at again: whoever ends now sees it
            if (Volatile.Read(ref _ended) < count) Monitor.Wait(_reached, longestWaitMs);
            Volatile.Write(ref _awaited, long.MaxValue);
        }
    }
}
