using Varve.Crypto.Luks;
using Varve.Formats.Qcow2;
using Varve.Inspection;
using Varve.IO;
using Varve.Protocols.File;

namespace Varve;

/// <summary>Looks at an image that nobody vouches for, before anything opens it.</summary>
/// <remarks>One file is opened, read-only and without taking locks; nothing that it names is. Time and memory are bounded by
/// <see cref="ReadLimit"/>, whatever the image says. It is found what opening would refuse and what opening would follow; whether the
/// reference counts are right is what a check is for.</remarks>
public static class ImageInspector
{
    /// <summary>The most bytes of an image that are read: 16 MiB, enough for all metadata of ordinary images.</summary>
    public const int ReadLimit = 16 << 20;

    /// <summary>Inspects a file.</summary>
    /// <param name="path">A path: prefixes and <c>json:</c> mean nothing here.</param>
    /// <param name="options">What to expect; null: nothing.</param>
    /// <param name="cancellationToken">Ends waiting for the file.</param>
    /// <exception cref="BlockException">The file cannot be opened or read, or is not a regular file.</exception>
    public static async ValueTask<ImageInspection> InspectAsync(
        string path, InspectionOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ImageInspection? result = null;
        await BlockingThreads.Shared.RunAsync(() =>
        {
            using var fdSets = new FdSets();
            using HostFile file = HostFile.Open(path, new HostFileAccess(Writable: false, Direct: false), fdSets);
            result = Inspect(new InspectionSource(file.Length, file.Read, ReadLimit), options ?? new InspectionOptions(), path);
        }).WaitAsync(cancellationToken).ConfigureAwait(false);
        return result!;
    }

    /// <summary>Inspects bytes, wherever they are.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="options">What to expect.</param>
    /// <param name="path">What the image is called, to see whether it names itself; null: unknown.</param>
    internal static ImageInspection Inspect(InspectionSource source, InspectionOptions options, string? path)
    {
        byte[] head = new byte[(int)Math.Min(source.Length, FormatSignatures.HeadLength)];
        byte[] tail = new byte[(int)Math.Min(source.Length, FormatSignatures.TailLength)];
        source.TryRead(0, head);
        source.TryRead(source.Length - tail.Length, tail);

        var findings = new InspectionFindings();
        List<string> formats = FormatSignatures.Find(head, tail);
        if (formats.Count == 0) formats.Add(FormatSignatures.Raw);
        string format = options.Format ?? formats[0];
        Compare(formats, options.Format, findings);

        long? virtualSize = format switch
        {
            FormatSignatures.Raw => InspectRaw(source, head, findings),
            "qcow2" => new Qcow2Inspection(source, findings, path).Inspect(),
            "luks" => InspectLuks(source, findings),
            _ => InspectUnsupported(format, head, source, findings),
        };
        if (virtualSize > options.MaxVirtualSize)
        {
            findings.Suspicious("virtual-size", $"the virtual disk has {virtualSize} bytes, more than the {options.MaxVirtualSize} allowed");
        }

        if (source.IsExhausted)
        {
            findings.Note("not-everything-read", $"metadata beyond the bound of {ReadLimit} bytes was not looked at");
        }

        return new ImageInspection
        {
            Format = format,
            Findings = findings.All,
            References = findings.References,
            Features = findings.Features,
            VirtualSize = virtualSize,
            FileSize = source.Length,
            BytesRead = source.BytesRead,
            IsComplete = !source.IsExhausted,
        };
    }

    /// <summary>A file that can be taken for more than one thing is what confuses one program after another checked it.</summary>
    private static void Compare(List<string> formats, string? expected, InspectionFindings findings)
    {
        if (expected is not null && !formats.Contains(expected))
        {
            findings.Suspicious("other-format", $"to be opened as {expected}, but the content is that of a {formats[0]} image");
        }

        if (formats.Count > 1)
        {
            findings.Suspicious("several-formats", $"has the signatures of several formats: {string.Join(", ", formats)}");
        }
    }

    private static long InspectRaw(InspectionSource source, ReadOnlySpan<byte> head, InspectionFindings findings)
    {
        if (FormatSignatures.ContentOfRaw(head) is { } content) findings.Note("content", $"begins with {content}");
        if (source.Length == 0) findings.Note("empty", "the file is empty");
        return Align.Up(source.Length, Align.SectorSize);
    }

    private static long? InspectLuks(InspectionSource source, InspectionFindings findings)
    {
        if (LuksInspection.Inspect(source, findings, offset: 0) is not { } payload) return null;
        findings.Note("encrypted", "the data is encrypted");
        if (payload == 0)
        {
            findings.Reference("payload", null, null);
            return null;
        }

        if (payload > source.Length) findings.Suspicious("luks-payload", $"the payload begins at {payload}, outside the file of {source.Length} bytes");
        return Math.Max(source.Length - payload, 0);
    }

    private static long? InspectUnsupported(string format, ReadOnlySpan<byte> head, InspectionSource source, InspectionFindings findings)
    {
        findings.Refused("unsupported-format", $"{format} images are not supported");
        if (format == "vmdk") VmdkInspection.FindExtents(head, source, findings);
        return null;
    }
}
