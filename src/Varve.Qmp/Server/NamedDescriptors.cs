using Microsoft.Win32.SafeHandles;

namespace Varve.Qmp.Server;

/// <summary>Descriptors that clients passed with <c>getfd</c>, waiting under a name to be used by a later command.</summary>
internal sealed class NamedDescriptors : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, SafeFileHandle> _descriptors = new(StringComparer.Ordinal);

    /// <summary>Takes a descriptor over; one that has the name already is closed.</summary>
    public void Add(string name, SafeFileHandle descriptor)
    {
        if (name.Length > 0 && char.IsAsciiDigit(name[0]))
        {
            descriptor.Dispose();
            throw new BlockException(BlockErrorKind.Invalid, "Parameter 'fdname' expects a name not starting with a digit");
        }

        lock (_lock)
        {
            if (_descriptors.Remove(name, out SafeFileHandle? replaced)) replaced.Dispose();
            _descriptors.Add(name, descriptor);
        }
    }

    public void Close(string name) => Take(name).Dispose();

    /// <summary>Hands a descriptor out, for good.</summary>
    /// <param name="name">A name given by <c>getfd</c>.</param>
    /// <exception cref="BlockException">No such name.</exception>
    public SafeFileHandle Take(string name)
    {
        lock (_lock)
        {
            return _descriptors.Remove(name, out SafeFileHandle? descriptor)
                ? descriptor
                : throw new BlockException(BlockErrorKind.NotFound, $"File descriptor named '{name}' not found");
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (SafeFileHandle descriptor in _descriptors.Values) descriptor.Dispose();
            _descriptors.Clear();
        }
    }
}
