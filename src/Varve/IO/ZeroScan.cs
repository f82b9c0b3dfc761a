namespace Varve.IO;

/// <summary>Finds zeros, vectorised by the framework.</summary>
internal static class ZeroScan
{
    /// <summary>Whether every byte is zero.</summary>
    public static bool IsZero(ReadOnlySpan<byte> bytes) => !bytes.ContainsAnyExcept((byte)0);
}
