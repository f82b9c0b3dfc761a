using System.Collections.Concurrent;

namespace Varve.Filters.Throttle;

/// <summary>The throttle groups of a graph, by name (<c>object-add qom-type=throttle-group</c>).</summary>
internal sealed class ThrottleGroups(TimeProvider time)
{
    private readonly ConcurrentDictionary<string, ThrottleGroup> _groups = new(StringComparer.Ordinal);

    public ThrottleGroup? Find(string name) => _groups.GetValueOrDefault(name);

    /// <exception cref="BlockException">The limits contradict each other, or the name is taken.</exception>
    public ThrottleGroup Add(string name, ThrottleLimits limits)
    {
        limits.Check();
        var group = new ThrottleGroup(name, limits, time);
        if (_groups.TryAdd(name, group)) return group;
        group.Dispose();
        throw new BlockException(BlockErrorKind.InUse, $"attempt to add duplicate property '{name}' to object (type 'container')");
    }

    /// <exception cref="BlockException">There is none, or a node uses it.</exception>
    public void Remove(string name)
    {
        ThrottleGroup group = Find(name) ?? throw new BlockException(BlockErrorKind.NotFound, $"object '{name}' not found");
        if (group.MemberCount > 0) throw new BlockException(BlockErrorKind.InUse, $"object '{name}' is in use, can not be deleted");
        _groups.TryRemove(name, out _);
        group.Dispose();
    }
}
