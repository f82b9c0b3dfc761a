namespace Varve.IO;

/// <summary>What gathers requests before it hands them to the kernel.</summary>
internal interface ISubmitter
{
    /// <summary>Hands over what was gathered.</summary>
    void Submit();
}

/// <summary>A thread that begins many requests in a row, and then waits, opens a batch: they reach the kernel in one system call.</summary>
/// <remarks>Whoever opens a batch sends it before it waits for anything: its requests have not begun before.</remarks>
internal static class SubmissionBatch
{
    [ThreadStatic] private static bool t_isOpen;
    [ThreadStatic] private static ISubmitter? t_submitter;

    public static void Open() => t_isOpen = true;

    /// <summary>Leaves the submitting to the batch of the calling thread; false when none is open. A thread has one submitter.</summary>
    public static bool TryGather(ISubmitter submitter)
    {
        if (!t_isOpen) return false;
        t_submitter = submitter;
        return true;
    }

    /// <summary>Begins what was gathered; the batch stays open.</summary>
    public static void Send()
    {
        if (t_submitter is not { } submitter) return;
        t_submitter = null;
        submitter.Submit();
    }

    public static void Close()
    {
        t_isOpen = false;
        Send();
    }
}
