using Varve.Formats;
using Varve.Inspection;

namespace Varve.Crypto.Luks;

/// <summary>Looks at a LUKS header that nobody vouches for: of a volume, or inside another format's file.</summary>
internal static class LuksInspection
{
    /// <summary>Key derivation beyond this takes many seconds for each passphrase tried; writers measure about one second.</summary>
    private const uint ManyIterations = 50_000_000;

    /// <summary>Reports on the header at <paramref name="offset"/>.</summary>
    /// <returns>Where its payload begins, from the start of the header; 0: elsewhere; null where the header is refused.</returns>
    public static long? Inspect(InspectionSource source, InspectionFindings findings, long offset)
    {
        byte[] bytes = new byte[LuksHeader.Size];
        source.TryRead(offset, bytes);
        FormatError? wrong = offset > source.Length - LuksHeader.Size
            ? FormatError.Invalid("Volume is not in LUKS format")
            : LuksHeader.TryRead(bytes, out LuksHeader? _);
        if (wrong is not null)
        {
            findings.Refused("luks-header", wrong.Message);
            return null;
        }

        LuksHeader.TryRead(bytes, out LuksHeader? header);
        Iterations(findings, header!.Iterations, "the key");
        for (int i = 0; i < LuksHeader.SlotCount; i++)
        {
            LuksKeySlot slot = header.Slots[i];
            if (!slot.IsActive) continue;
            Iterations(findings, slot.Iterations, $"key slot {i}");
            if (offset + slot.MaterialOffset + header.MaterialSize > source.Length)
            {
                findings.Suspicious("luks-outside-file", $"the key material of slot {i} lies outside the file");
            }
        }

        if (!header.Slots.Any(s => s.IsActive)) findings.Note("luks-no-slot", "no key slot is in use: nothing can open it");
        return header.PayloadOffset;
    }

    private static void Iterations(InspectionFindings findings, uint count, string what)
    {
        if (count > ManyIterations) findings.Suspicious("luks-iterations", $"{count} iterations of the key derivation for {what}");
    }
}
