namespace Varve.Inspection;

/// <summary>What a file looks like, by its bytes alone. Names of files play no part.</summary>
internal static class FormatSignatures
{
    /// <summary>How many bytes at the beginning are looked at: the last signature is ISO 9660's.</summary>
    public const int HeadLength = 33 << 10;

    /// <summary>How many bytes at the end are looked at: footers of fixed VHD and of DMG images.</summary>
    public const int TailLength = 512;

    public const string Raw = "raw";

    /// <summary>Formats whose images we open.</summary>
    public static bool IsSupported(string format) => format is "qcow2" or "luks" or Raw;

    private static readonly (string Format, int At, byte[] Bytes)[] s_atStart =
    [
        ("vmdk", 0, "KDMV"u8.ToArray()),
        ("vmdk", 0, "COWD"u8.ToArray()),
        ("vmdk", 0, "# Disk DescriptorFile"u8.ToArray()),
        ("vhdx", 0, "vhdxfile"u8.ToArray()),
        ("vpc", 0, "conectix"u8.ToArray()),
        ("vdi", 64, [0x7F, 0x10, 0xDA, 0xBE]),
        ("qed", 0, "QED\0"u8.ToArray()),
        ("parallels", 0, "WithoutFreeSpace"u8.ToArray()),
        ("parallels", 0, "WithouFreSpacExt"u8.ToArray()),
        ("bochs", 0, "Bochs Virtual HD Image"u8.ToArray()),
        ("cloop", 0, "#!/bin/sh\n#V2.0 Format"u8.ToArray()),
        ("luks", 0, [.. "LUKS"u8, 0xBA, 0xBE]),
    ];

    private static readonly (string Format, byte[] Bytes)[] s_atEnd = [("vpc", "conectix"u8.ToArray()), ("dmg", "koly"u8.ToArray())];

    /// <summary>Every disk image format that the file could be taken for; the one it begins as comes first. Empty: plain data.</summary>
    public static List<string> Find(ReadOnlySpan<byte> head, ReadOnlySpan<byte> tail)
    {
        var formats = new List<string>();
        if (head.StartsWith("QFI\xFB"u8[..3]) && head.Length >= 8 && head[3] == 0xFB)
        {
            formats.Add(head[4..8] is [0, 0, 0, 1] ? "qcow" : "qcow2");
        }

        foreach ((string format, int at, byte[] bytes) in s_atStart)
        {
            if (head.Length >= at + bytes.Length && head[at..].StartsWith(bytes)) Add(formats, format);
        }

        foreach ((string format, byte[] bytes) in s_atEnd)
        {
            if (tail.StartsWith(bytes)) Add(formats, format);
        }

        return formats;
    }

    /// <summary>What a raw disk holds, where it says so: a partition table, a file system of optical discs.</summary>
    public static string? ContentOfRaw(ReadOnlySpan<byte> head)
        => head.Length > 0x8006 && head[0x8001..].StartsWith("CD001"u8) ? "an ISO 9660 file system"
            : head.Length > 520 && head[512..].StartsWith("EFI PART"u8) ? "a GPT partition table"
            : head.Length >= 512 && head[510] == 0x55 && head[511] == 0xAA ? "a boot sector"
            : null;

    private static void Add(List<string> formats, string format)
    {
        if (!formats.Contains(format)) formats.Add(format);
    }
}
