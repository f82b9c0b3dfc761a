using Varve.Crypto.Luks;
using Varve.Inspection;
using Varve.Tests.Hostile;

namespace Varve.Fuzz.Targets;

/// <summary>A LUKS header: read, inspected, and written back as it was read.</summary>
internal sealed class LuksTarget : FuzzTarget
{
    public override string Name => "luks-header";

    public override bool HasFixedLayout => true;

    public override int MaxLength => LuksHeader.Size;

    public override IEnumerable<byte[]> Seeds
        => HostileCorpus.All.Where(i => i.Format == "luks" && i.Bytes.Length >= LuksHeader.Size).Select(i => i.Bytes[..LuksHeader.Size]);

    public override IReadOnlyList<byte[]> Words
        => WordsOf("aes\0 twofish\0 serpent\0 cast5\0 xts-plain64\0 cbc-essiv:sha256\0 cbc-plain\0 ecb-plain\0 ctr-plain64be\0 sha1\0 sha256\0 sha512\0 ripemd160\0");

    public override string Run(byte[] input)
    {
        var source = new InspectionSource(input.Length, (buffer, offset) => input.AsSpan((int)offset, buffer.Length).CopyTo(buffer), ImageInspector.ReadLimit);
        ImageInspector.Inspect(source, new InspectionOptions { Format = "luks" }, null);
        if (LuksHeader.TryRead(input, out LuksHeader? header) is { } wrong) return wrong.Message;
        byte[] written = new byte[LuksHeader.Size];
        header!.WriteTo(written);
        if (LuksHeader.TryRead(written, out LuksHeader? again) is { } changed) throw new InvalidOperationException($"reads, but not once it is written: {changed.Message}");
        if (again!.Cipher != header.Cipher || again.PayloadSector != header.PayloadSector) throw new InvalidOperationException("reads differently once it is written");
        return "read";
    }
}
