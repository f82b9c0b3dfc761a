using Varve.Graph;

namespace Varve.Filters.BlkDebug;

/// <summary>Kinds of requests a rule applies to (QMP <c>BlkdebugIOType</c>).</summary>
[Flags]
internal enum BlkDebugIOTypes
{
    Read = 1, Write = 2, WriteZeroes = 4, Discard = 8, Flush = 16, BlockStatus = 32,

    /// <summary>What a rule without <c>iotype</c> applies to.</summary>
    Default = Read | Write | WriteZeroes | Discard | Flush,
}

/// <summary>What happens when an event comes in a state.</summary>
/// <param name="Event">The event that makes the rule act.</param>
/// <param name="State">The state in which it acts; 0: any.</param>
internal abstract record BlkDebugRule(BlkdebugEvent Event, int State);

/// <summary>From its event on, until another event has rules of this kind, matching requests fail.</summary>
internal sealed record InjectErrorRule(BlkdebugEvent Event, int State) : BlkDebugRule(Event, State)
{
    public BlkDebugIOTypes IOTypes { get; init; } = BlkDebugIOTypes.Default;

    /// <summary>What requests fail with; 0: they do not.</summary>
    public int Errno { get; init; } = Varve.Errno.EIO;

    /// <summary>Requests that touch this byte fail; null: all.</summary>
    public long? Offset { get; init; }

    /// <summary>Whether the rule is used up by the first failure.</summary>
    public bool Once { get; init; }

    /// <summary>Whether the failure comes before the request has given way to others.</summary>
    public bool Immediately { get; init; }

    public bool Matches(long offset, long length, BlkDebugIOTypes type)
        => (IOTypes & type) != 0 && (Offset is not { } at || (at >= offset && at < offset + length));
}

/// <summary>The event changes the state.</summary>
internal sealed record SetStateRule(BlkdebugEvent Event, int State, int NewState) : BlkDebugRule(Event, State);

/// <summary>The request at this event waits until it is resumed by <paramref name="Tag"/>; set and removed while the node runs.</summary>
internal sealed record BreakpointRule(BlkdebugEvent Event, string Tag) : BlkDebugRule(Event, 0);
