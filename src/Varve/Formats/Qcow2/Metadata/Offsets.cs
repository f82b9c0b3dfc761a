using System.Globalization;

namespace Varve.Formats.Qcow2.Metadata;

/// <summary>A byte address in the virtual disk.</summary>
internal readonly record struct GuestOffset(long Value)
{
    public static GuestOffset operator +(GuestOffset offset, long bytes) => new(offset.Value + bytes);

    public override string ToString() => "0x" + Value.ToString("x", CultureInfo.InvariantCulture);
}

/// <summary>A byte address in the image file.</summary>
internal readonly record struct HostOffset(long Value)
{
    /// <summary>Where the header lies: in tables it says "nothing there".</summary>
    public static HostOffset None => default;

    public bool IsNone => Value == 0;

    public static HostOffset operator +(HostOffset offset, long bytes) => new(offset.Value + bytes);

    public override string ToString() => "0x" + Value.ToString("x", CultureInfo.InvariantCulture);
}
