using Varve.IO;

namespace Varve.Nbd.Transport;

/// <summary>A buffer of a connection that requests still in flight may point into. It goes back to the pool with its last holder.</summary>
internal sealed class SharedBuffer
{
    /// <summary>Bytes: a full queue of small requests, and small enough to stay in a core's cache.</summary>
    public const int Size = 256 << 10;

    private readonly IOBuffer _buffer = IOBuffer.Rent(Size);
    private int _holders = 1;

    /// <summary>All bytes.</summary>
    public Memory<byte> Memory => _buffer.Memory;

    /// <summary>Whether somebody beside the caller, who holds it, points into it.</summary>
    public bool IsShared => Volatile.Read(ref _holders) > 1;

    public void Hold() => Interlocked.Increment(ref _holders);

    public void Release()
    {
        if (Interlocked.Decrement(ref _holders) == 0) _buffer.Dispose();
    }
}
