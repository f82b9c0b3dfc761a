using System.Diagnostics;
using Varve.Interop.Linux;
using Varve.IO;

namespace Varve.Protocols.File.Engines;

// Who does what at a ring
//   1. Any thread submits: it fills an entry under _submitting and tells the kernel outside of it. A thread that has opened a
//      SubmissionBatch tells the kernel once for all the batch's requests, before it waits for anything.
//   2. One thread, the leader, waits for completions and runs what awaited them, one by one, there and then.
//   3. What awaited may run long, or wait for another request of this ring. So while requests are in flight a timer looks whether
//      the leader is stuck with completions behind it; then a new leader takes over, and the old one ends when it comes back.
//      A completion is taken under _taking: by one of them.
//   4. At most Slots requests are in flight, so the completion queue, twice as long, never overflows; more wait in _waiting.

/// <summary>File requests by io_uring. A ring for every thread that submits, up to the number of processors.</summary>
internal sealed class UringEngine : FileEngine
{
    private const int Slots = 256;
    private const int MaxRings = 8;
    private static readonly TimeSpan s_stuckAfter = TimeSpan.FromMilliseconds(10);
    private static readonly Lazy<UringEngine?> s_shared = new(TryCreate);

    [ThreadStatic] private static Ring? t_ring;

    private readonly Ring[] _rings;
    private int _nextRing;

    private UringEngine(Ring[] rings) => _rings = rings;

    /// <summary>The engine of the process; null where there is no io_uring, or none that does all we need.</summary>
    public static UringEngine? Shared => OperatingSystem.IsLinux() ? s_shared.Value : null;

    public override void Start(FileRequest request)
    {
        if (request.SuitsUring)
        {
            (t_ring ??= _rings[(uint)Interlocked.Increment(ref _nextRing) % (uint)_rings.Length]).Start(request);
        }
        else
        {
            Threads.Start(request);
        }
    }

    private static UringEngine? TryCreate()
    {
        var rings = new List<Ring>();
        while (rings.Count < Math.Clamp(Environment.ProcessorCount, 1, MaxRings) && UringQueues.TryCreate(Slots) is { } queues) rings.Add(new Ring(queues));
        return rings.Count == 0 ? null : new UringEngine([.. rings]);
    }

#pragma warning disable CA1001 // It lives as long as the process.
    private sealed class Ring : ISubmitter
#pragma warning restore CA1001
    {
        private readonly UringQueues _queues;
        private readonly Lock _submitting = new(), _taking = new();
        private readonly FileRequest?[] _requests;
        private readonly Stack<int> _freeSlots;
        private readonly Queue<FileRequest> _waiting = new();
        private readonly Timer _watch;
        private bool _isWatched;
        private int _leader, _inFlight;
        private int _running;           // which leader is inside a continuation; 0: none
        private long _taken, _takenSeen;

        public Ring(UringQueues queues)
        {
            _queues = queues;
            _requests = new FileRequest?[queues.Capacity];
            _freeSlots = new(Enumerable.Range(0, queues.Capacity));
            _watch = new Timer(ring => ((Ring)ring!).Watch(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            Lead();
        }

        public void Start(FileRequest request)
        {
            lock (_submitting)
            {
                _inFlight++;
                if (!_isWatched) WatchFromNowOn();
                if (!_freeSlots.TryPop(out int slot))
                {
                    _waiting.Enqueue(request);
                    return;
                }

                Prepare(request, slot);
            }

            if (!SubmissionBatch.TryGather(this)) Submit();
        }

        /// <inheritdoc/>
        public void Submit()
        {
            int unsent = _queues.Unsent;
            if (unsent > 0) Enter(unsent, awaited: 0);
        }

        // There are as many entries as slots, so there is one for whoever has a slot.
        private void Prepare(FileRequest request, int slot)
        {
            _requests[slot] = request;
            bool isPrepared = _queues.TryPrepare(request.Describe() with { Cookie = (ulong)slot });
            Debug.Assert(isPrepared, "A slot without an entry.");
        }

        private void Enter(int submitted, int awaited)
        {
            int errno = _queues.Enter(submitted, awaited);
            switch (errno)
            {
                case 0 or Errno.EINTR:
                    return;
                case Errno.EAGAIN or Errno.EBUSY or Errno.ENOMEM:
                    Thread.Sleep(1);    // the kernel is short of memory: the watch, the leader or the next request tells it again
                    return;
                default:
                    throw new InvalidOperationException($"io_uring_enter: {Errno.Text(errno)}");
            }
        }

        // ---- The leader

        private void Lead()
        {
            int leader = ++_leader;
            new Thread(() => Lead(leader)) { IsBackground = true, Name = "varve-uring" }.UnsafeStart();
        }

        private void Lead(int leader)
        {
            while (Volatile.Read(ref _leader) == leader)
            {
                if (TryTake(leader, out UringCompletion completion))
                {
                    Complete((int)completion.Cookie, completion.Result);
                    Interlocked.CompareExchange(ref _running, 0, leader);
                }
                else
                {
                    Enter(_queues.Unsent, awaited: 1);
                }
            }
        }

        private bool TryTake(int leader, out UringCompletion completion)
        {
            lock (_taking)
            {
                completion = default;
                if (_leader != leader || !_queues.TryTake(out completion)) return false;
                _taken++;
                _running = leader;
                return true;
            }
        }

        private void Complete(int slot, int result)
        {
            FileRequest request = _requests[slot]!;
            UringStep step = request.Step(result);
            if (step == UringStep.Again)
            {
                lock (_submitting) Prepare(request, slot);
                Submit();
                return;
            }

            bool hasNext = false;
            lock (_submitting)
            {
                _inFlight--;
                _requests[slot] = null;
                if (_waiting.TryDequeue(out FileRequest? next))
                {
                    Prepare(next, slot);
                    hasNext = true;
                }
                else
                {
                    _freeSlots.Push(slot);
                }
            }

            if (hasNext) Submit();
            if (step == UringStep.OnThread) Threads.Start(request);
            else request.End();
        }

        // ---- The watch

        private void WatchFromNowOn()
        {
            _isWatched = true;
            _watch.Change(s_stuckAfter, s_stuckAfter);
        }

        private void Watch()
        {
            Submit();   // what a kernel short of memory did not take
            lock (_submitting)
            {
                if (_inFlight == 0)
                {
                    _isWatched = false;
                    _watch.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
                    return;
                }
            }

            lock (_taking)
            {
                bool isStuck = _running == _leader && _taken == _takenSeen && _queues.HasCompletions;
                _takenSeen = _taken;
                if (isStuck) Lead();
            }
        }
    }
}
