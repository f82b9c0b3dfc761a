namespace Varve.Jobs;

/// <summary>What a job does when a request fails (QMP <c>BlockdevOnError</c>).</summary>
internal enum OnError
{
    /// <summary>The job ends with the error.</summary>
    Report,

    /// <summary>The job goes on with the next chunk; it still fails in the end.</summary>
    Ignore,

    /// <summary>Pause where there is no space, report otherwise.</summary>
    NoSpace,

    /// <summary>The job pauses; resuming tries the same chunk again.</summary>
    Stop,

    /// <summary>As <see cref="NoSpace"/>.</summary>
    Auto,
}

/// <summary>What was done about one failed request (QMP <c>BlockErrorAction</c>).</summary>
internal enum ErrorAction { Ignore, Report, Stop }

/// <summary>Whether a job is stopped by an error, and by which kind (QMP <c>BlockDeviceIoStatus</c>).</summary>
internal enum IOStatus { Ok, Failed, NoSpace }

internal static class OnErrorText
{
    /// <summary>The word on the wire.</summary>
    public static string Name(this OnError policy) => policy switch
    {
        OnError.Report => "report",
        OnError.Ignore => "ignore",
        OnError.NoSpace => "enospc",
        OnError.Stop => "stop",
        _ => "auto",
    };

    /// <summary>The word on the wire.</summary>
    public static string Name(this ErrorAction action) => action switch
    {
        ErrorAction.Ignore => "ignore",
        ErrorAction.Report => "report",
        _ => "stop",
    };

    /// <summary>The word on the wire.</summary>
    public static string Name(this IOStatus status) => status switch
    {
        IOStatus.Ok => "ok",
        IOStatus.Failed => "failed",
        _ => "nospace",
    };

    /// <summary>What the policy does about a failure with <paramref name="errno"/>.</summary>
    public static ErrorAction ActionFor(this OnError policy, int errno) => policy switch
    {
        OnError.Ignore => ErrorAction.Ignore,
        OnError.Stop => ErrorAction.Stop,
        OnError.NoSpace or OnError.Auto when errno == Errno.ENOSPC => ErrorAction.Stop,
        _ => ErrorAction.Report,
    };
}
