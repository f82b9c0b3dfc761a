using System.Text.Json.Nodes;

namespace Varve.Graph;

/// <summary>What is to change about an image that exists (<c>img amend</c>, <c>x-blockdev-amend</c>).</summary>
/// <param name="Options">The driver's own; a value is as typed as its source had it.</param>
internal sealed record AmendRequest(JsonObject Options)
{
    /// <summary>Do what may make data unreadable for ever: erase the last key, overwrite a key.</summary>
    public bool IsForced { get; init; }

    /// <summary>Told how much of how much is done, now and then; both may change, and the first may go back.</summary>
    public Action<long, long>? Progress { get; init; }
}
