using System.Buffers;
using System.Runtime.InteropServices;

namespace Varve.Interop;

/// <summary>Memory outside the collector's heap, at an address that is a multiple of <see cref="Alignment"/>: it never moves.</summary>
/// <remarks>Owned by the buffer pool, which frees it; there is no finalizer, because a span may outlive the manager. So no collection
/// would give memory back, and the collector is not told of it.</remarks>
internal sealed unsafe class AlignedMemory : MemoryManager<byte>
{
    /// <summary>Bytes; what O_DIRECT asks on every device we know.</summary>
    public const int Alignment = 4096;

    private readonly int _length;
    private byte* _address;

    public AlignedMemory(int length)
    {
        _length = length;
        _address = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(length, 1), Alignment);
    }

    public override Span<byte> GetSpan() => new(_address, _length);

    public override MemoryHandle Pin(int elementIndex = 0) => new(_address + elementIndex);

    public override void Unpin() { }

    protected override void Dispose(bool disposing)
    {
        if (_address is null) return;
        NativeMemory.AlignedFree(_address);
        _address = null;
    }
}
