using Varve.Formats.Qcow2.Metadata;

namespace Varve.Formats.Qcow2;

/// <summary>Guest clusters that are being given host clusters: nobody else may change their mapping until it ends.</summary>
/// <remarks>Used again by its image once it has ended: whoever made it lets go of it then.</remarks>
internal sealed class Reservation
{
    /// <summary>Guest range, in whole clusters of one L2 slice.</summary>
    public long GuestStart { get; private set; }

    public long GuestEnd { get; private set; }

    /// <summary>The clusters set aside for the data.</summary>
    public ClusterAllocator.Run Run { get; set; }

    /// <summary>The bytes set aside for a compressed cluster, instead of <see cref="Run"/>.</summary>
    public CompressedExtent? Packed { get; set; }

    /// <summary>Whether the clusters were the guest range's before, all or part of them without data; then there is nothing to give back.</summary>
    public bool IsReuse { get; set; }

    /// <summary>Entries before the write.</summary>
    public ExtendedL2Entry First { get; set; }

    public ExtendedL2Entry Last { get; set; }

    /// <summary>The slice that maps the range, pinned.</summary>
    public TableSlice Slice { get; private set; } = null!;

    /// <summary>Completed when the reservation ends; made by whoever waits first, under the table lock.</summary>
    public TaskCompletionSource? Ended { get; set; }

    /// <summary>Begins anew, with nothing set aside.</summary>
    public void Begin(long guestStart, long guestEnd, TableSlice slice)
    {
        (GuestStart, GuestEnd, Slice) = (guestStart, guestEnd, slice);
        (Run, Packed, IsReuse, Ended) = (default, null, false, null);
    }

    public bool Overlaps(long start, long end) => GuestStart < end && start < GuestEnd;
}
