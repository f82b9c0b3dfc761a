namespace Varve.Fuzz;

/// <summary>How much the product may allocate for one thing that is asked of it: twice the largest table that any format may have, and then some.</summary>
internal static class AllocationLimit
{
    private const long Bytes = 256 << 20;

    [ThreadStatic]
    private static long s_allocated;

    /// <summary>Something is about to be asked.</summary>
    public static void Begin() => s_allocated = GC.GetAllocatedBytesForCurrentThread();

    /// <summary>It is done, and the next begins.</summary>
    /// <exception cref="InvalidOperationException">It took more than it may.</exception>
    public static void Check()
    {
        long bytes = GC.GetAllocatedBytesForCurrentThread() - s_allocated;
        Begin();
        if (bytes > Bytes) throw new InvalidOperationException($"{bytes} bytes were allocated");
    }
}
