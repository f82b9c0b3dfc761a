using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Varve.Interop.Linux;

/// <summary>The two queues of one io_uring, shared with the kernel: io_uring(7).</summary>
/// <remarks>Neither queue is locked: one thread at a time prepares, one at a time takes completions, any may enter.</remarks>
internal sealed unsafe class UringQueues : IDisposable
{
    private const nint Unmapped = -1;
    private const long RingsOffset = 0, EntriesOffset = 0x1000_0000;    // IORING_OFF_SQ_RING, IORING_OFF_SQES

    private readonly SafeFileHandle _ring;
    private readonly nint _rings, _ringsLength, _entries, _entriesLength;
    private readonly uint* _submissionHead, _submissionTail, _completionHead, _completionTail;
    private readonly UringCompletion* _completions;
    private readonly uint _submissionMask, _completionMask;

    private UringQueues(SafeFileHandle ring, in UringParameters parameters, nint mappedRings, nint mappedEntries)
    {
        (_ring, _rings, _entries) = (ring, mappedRings, mappedEntries);
        (_ringsLength, _entriesLength) = LengthsOf(parameters);
        Capacity = (int)parameters.SubmissionEntries;

        byte* rings = (byte*)_rings;
        _submissionHead = (uint*)(rings + parameters.SubmissionHead);
        _submissionTail = (uint*)(rings + parameters.SubmissionTail);
        _completionHead = (uint*)(rings + parameters.CompletionHead);
        _completionTail = (uint*)(rings + parameters.CompletionTail);
        _completions = (UringCompletion*)(rings + parameters.Completions);
        _submissionMask = *(uint*)(rings + parameters.SubmissionMask);
        _completionMask = *(uint*)(rings + parameters.CompletionMask);
        uint* order = (uint*)(rings + parameters.SubmissionArray);
        for (uint i = 0; i < parameters.SubmissionEntries; i++) order[i] = i;
    }

    /// <summary>Requests that fit between two calls of <see cref="Enter"/>; there is room for the completions of twice as many.</summary>
    public int Capacity { get; }

    /// <summary>A pair of queues; null where the kernel, or a sandbox, has none or only old ones.</summary>
    public static UringQueues? TryCreate(int entries)
    {
        var parameters = new UringParameters { Flags = UringSetupFlags.Clamp };
        int descriptor = Libc.UringSetup(entries, ref parameters);
        if (descriptor < 0) return null;
        var ring = new SafeFileHandle(descriptor, ownsHandle: true);
        const UringFeatures Needed = UringFeatures.SingleMap | UringFeatures.CurrentPosition;
        (nint ringsLength, nint entriesLength) = LengthsOf(parameters);
        nint rings = (parameters.Features & Needed) == Needed ? Map(ring, ringsLength, RingsOffset) : Unmapped;
        nint mappedEntries = rings == Unmapped ? Unmapped : Map(ring, entriesLength, EntriesOffset);
        if (mappedEntries != Unmapped) return new UringQueues(ring, parameters, rings, mappedEntries);

        if (rings != Unmapped) _ = Libc.MemoryUnmap(rings, ringsLength);
        ring.Dispose();
        return null;
    }

    /// <summary>Puts a request behind the others; false when there is no room for it before the next <see cref="Enter"/>.</summary>
    public bool TryPrepare(in UringEntry entry)
    {
        uint tail = *_submissionTail;
        if (tail - Volatile.Read(ref *_submissionHead) == (uint)Capacity) return false;
        ((UringEntry*)_entries)[tail & _submissionMask] = entry;
        Volatile.Write(ref *_submissionTail, tail + 1);
        return true;
    }

    /// <summary>Requests prepared that the kernel has not taken.</summary>
    public int Unsent => (int)(Volatile.Read(ref *_submissionTail) - Volatile.Read(ref *_submissionHead));

    /// <summary>Hands prepared requests to the kernel, and waits for completions if asked to.</summary>
    /// <returns>0, or the errno.</returns>
    public int Enter(int submitted, int awaited) => Libc.UringEnter(_ring, submitted, awaited) < 0 ? Marshal.GetLastPInvokeError() : 0;

    public bool HasCompletions => *_completionHead != Volatile.Read(ref *_completionTail);

    /// <summary>Takes the oldest completion, if there is one.</summary>
    public bool TryTake(out UringCompletion completion)
    {
        uint head = *_completionHead;
        if (head == Volatile.Read(ref *_completionTail))
        {
            completion = default;
            return false;
        }

        completion = _completions[head & _completionMask];
        Volatile.Write(ref *_completionHead, head + 1);
        return true;
    }

    public void Dispose()
    {
        _ring.Dispose();
        _ = Libc.MemoryUnmap(_rings, _ringsLength);
        _ = Libc.MemoryUnmap(_entries, _entriesLength);
    }

    private static (nint Rings, nint Entries) LengthsOf(in UringParameters parameters)
        => ((nint)Math.Max(
                parameters.SubmissionArray + (parameters.SubmissionEntries * sizeof(uint)),
                parameters.Completions + (parameters.CompletionEntries * sizeof(UringCompletion))),
            (nint)parameters.SubmissionEntries * sizeof(UringEntry));

    private static nint Map(SafeFileHandle ring, nint length, long offset)
        => Libc.MemoryMap(0, length, Libc.MapReadWrite, Libc.MapShared, ring, offset);
}
