using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <summary>Guest clusters that are being given host clusters: nobody else may change their mapping until it ends.</summary>
internal sealed class Reservation(long guestStart, long guestEnd)
{
    /// <summary>Guest range, in whole clusters of one L2 slice.</summary>
    public long GuestStart { get; } = guestStart;

    public long GuestEnd { get; } = guestEnd;

    /// <summary>The clusters set aside for the data.</summary>
    public ClusterAllocator.Run Run { get; init; }

    /// <summary>The bytes set aside for a compressed cluster, instead of <see cref="Run"/>.</summary>
    public CompressedExtent? Packed { get; init; }

    /// <summary>Whether the clusters were the guest range's before, all or part of them without data; then there is nothing to give back.</summary>
    public bool IsReuse { get; init; }

    /// <summary>Entries before the write.</summary>
    public ExtendedL2Entry First { get; init; }

    public ExtendedL2Entry Last { get; init; }

    /// <summary>The slice that maps the range, pinned.</summary>
    public required TableSlice Slice { get; init; }

    /// <summary>Completed when the reservation ends; made by whoever waits first, under the table lock.</summary>
    public TaskCompletionSource? Ended { get; set; }

    public bool Overlaps(long start, long end) => GuestStart < end && start < GuestEnd;
}
