namespace Varve.Formats.Qcow2;

/// <summary>Why clusters lost a reference: decides whether the host is told that they hold nothing any more.</summary>
internal enum DiscardReason
{
    /// <summary>The guest discarded them (<c>pass-discard-request</c>).</summary>
    Request,

    /// <summary>A snapshot held them (<c>pass-discard-snapshot</c>).</summary>
    Snapshot,

    /// <summary>Replaced by copy-on-write, or a table that moved (<c>pass-discard-other</c>).</summary>
    Other,

    /// <summary>The disk shrank: always told.</summary>
    Always,
}

/// <summary>One reference given up: to every cluster that <paramref name="Length"/> bytes at <paramref name="Host"/> touch.</summary>
internal readonly record struct LostReference(long Host, long Length, DiscardReason Reason);

// When an unlinked cluster may be used again
//   1. Not before the unlinking is durable: after a power loss the disk's old table would point at somebody else's data.
//   2. Not before every request that began earlier has ended: it may still read or write where the old entry pointed.
//   3. Only then is the refcount lowered. Until then it is too high on the disk and in memory, which is harmless.
// Requests count themselves in one of two parities. A batch waits for the requests of the old parity to end; while it waits, new
// requests use the other one, and further batches queue behind it. Nobody waits for a batch, so requests never wait for themselves.

/// <summary>References given up, on their way to lower refcounts. The image's table lock guards it, except <see cref="Exit"/>.</summary>
internal sealed class Reclaim(int clusterSize)
{
    private List<LostReference> _unlinked = [];
    private readonly List<LostReference> _durable = [], _waiting = [];
    private List<LostReference> _ready = [];
    private readonly int[] _inFlight = new int[2];
    private int _parity;

    /// <summary>References unlinked in memory whose tables are not yet durable.</summary>
    public int UnlinkedCount => _unlinked.Count;

    public bool HasReady => _ready.Count > 0;

    /// <summary>Nothing waits at any stage.</summary>
    public bool IsEmpty => _unlinked.Count + _durable.Count + _waiting.Count + _ready.Count == 0;

    /// <summary>A request begins that will use mappings it looks up. Needs the table lock.</summary>
    public int Enter()
    {
        Interlocked.Increment(ref _inFlight[_parity]);
        return _parity;
    }

    /// <summary>The request has ended, with all its I/O.</summary>
    public void Exit(int ticket) => Interlocked.Decrement(ref _inFlight[ticket]);

    /// <summary>A table entry that held a reference was changed in memory.</summary>
    public void Unlinked(LostReference reference)
    {
        // Whole clusters that follow each other become one; compressed extents may share a cluster and count in it one by one.
        if (_unlinked.Count > 0 && _unlinked[^1] is var last && last.Reason == reference.Reason && last.Host + last.Length == reference.Host
            && Align.Is(last.Host | last.Length | reference.Host | reference.Length, clusterSize))
        {
            _unlinked[^1] = last with { Length = last.Length + reference.Length };
            return;
        }

        _unlinked.Add(reference);
    }

    /// <summary>Takes what the tables being written back now have unlinked.</summary>
    public List<LostReference> TakeUnlinked()
    {
        List<LostReference> taken = _unlinked;
        _unlinked = [];
        return taken;
    }

    /// <summary>Writing back failed: the unlinking is still to become durable.</summary>
    public void PutBack(List<LostReference> taken) => _unlinked.AddRange(taken);

    /// <summary>Writing back succeeded.</summary>
    public void BecameDurable(List<LostReference> taken)
    {
        _durable.AddRange(taken);
        Advance();
    }

    /// <summary>Moves batches on whose requests have ended.</summary>
    public void Advance()
    {
        while (true)
        {
            if (_waiting.Count == 0)
            {
                if (_durable.Count == 0) return;
                _waiting.AddRange(_durable);
                _durable.Clear();
                _parity ^= 1;
            }

            if (Volatile.Read(ref _inFlight[_parity ^ 1]) != 0) return;
            _ready.AddRange(_waiting);
            _waiting.Clear();
        }
    }

    /// <summary>Lowering failed: the rest is for the next time.</summary>
    public void PutBackReady(List<LostReference> rest) => _ready.AddRange(rest);

    /// <summary>Takes what may be lowered now.</summary>
    public List<LostReference> TakeReady()
    {
        List<LostReference> taken = _ready;
        _ready = [];
        return taken;
    }
}
