namespace Varve.Protocols.File;

// Who writes into a file's page cache
//   1. The kernel lets one writer at a time into a file. A writer that has gone to sleep for its turn is overtaken by those that come
//      running, again and again: beside a job that copies, a guest's write of one block waited 4 ms, after which Linux hands over.
//   2. So large writes go one at a time and in pieces, and before each piece let as many small writes end as have begun. A small write
//      waits for one piece; it takes no lock.
//   3. A piece waits for a millisecond at most: a small write that the disk keeps does not keep the others.

/// <summary>Lets small writes to a file go ahead of large ones.</summary>
/// <param name="longestWaitMs">What a piece waits for small writes, at most.</param>
internal sealed class WriteTurns(int longestWaitMs = 1)
{
    /// <summary>Bytes of a piece of a large write.</summary>
    public const int PieceLength = 128 << 10;

    /// <summary>Bytes from which a write is large: most clusters that a job copies are.</summary>
    private const int LargeLength = 64 << 10;

    private readonly Lock _large = new();
    private readonly object _reached = new();
    private long _begun, _ended, _awaited = long.MaxValue;   // small writes, counted

    public static bool IsLarge(int length) => length >= LargeLength;

    public void BeginSmall() => Interlocked.Increment(ref _begun);

    public void EndSmall()
    {
        if (Interlocked.Increment(ref _ended) < Volatile.Read(ref _awaited)) return;
        lock (_reached) Monitor.Pulse(_reached);
    }

    /// <summary>Until it is disposed other large pieces wait.</summary>
    /// <returns>Small writes that had begun have ended, or others in their place, or they have had their time.</returns>
    public Lock.Scope BeginLargePiece()
    {
        Lock.Scope scope = _large.EnterScope();
        long begun = Volatile.Read(ref _begun);
        if (Volatile.Read(ref _ended) < begun) AwaitSmall(begun);
        return scope;
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
