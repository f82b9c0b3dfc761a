using Varve.Inspection;
using Varve.Tests.Hostile;

namespace Varve.Fuzz.Targets;

/// <summary>Any file at all, inspected.</summary>
internal sealed class InspectTarget : FuzzTarget
{
    public override string Name => "inspect";

    public override int MaxLength => 32 << 10;

    public override IEnumerable<byte[]> Seeds => HostileCorpus.All.Where(i => i.Bytes.Length <= MaxLength).Select(i => i.Bytes);

    public override IReadOnlyList<byte[]> Words => WordsOf("QFI\u00fb KDMV COWD conectix koly LUKS json: nbd: file: RW FLAT \" parentFileNameHint=\"x\" RDONLY");

    public override string Run(byte[] input)
    {
        var source = new InspectionSource(input.Length, (buffer, offset) => input.AsSpan((int)offset, buffer.Length).CopyTo(buffer), ImageInspector.ReadLimit);
        ImageInspection inspection = ImageInspector.Inspect(source, new InspectionOptions(), "/image");
        return inspection.Format + string.Join(' ', inspection.Findings.Select(f => f.Code));
    }
}
