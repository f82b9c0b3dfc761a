using System.Runtime.InteropServices;

namespace Varve.Interop.Runtime;

/// <summary>The state of a zlib stream as the runtime's own library, the one behind System.IO.Compression, lays it out.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct ZlibStream
{
    public byte* NextIn;
    public byte* NextOut;
    public nint Message;
    public nint State;
    public uint AvailableIn;
    public uint AvailableOut;
}
