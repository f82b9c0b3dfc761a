using System.Globalization;
using Varve.Nbd.Client;
using Varve.Nbd.Wire;

namespace Varve.Cli.Nbd;

/// <summary>What <c>--list</c> prints.</summary>
internal static class NbdListing
{
    private static readonly (TransmissionFlags Flag, string Name)[] s_flags =
    [
        (TransmissionFlags.ReadOnly, "readonly"), (TransmissionFlags.SendFlush, "flush"), (TransmissionFlags.SendFua, "fua"),
        (TransmissionFlags.Rotational, "rotational"), (TransmissionFlags.SendTrim, "trim"), (TransmissionFlags.SendWriteZeroes, "zeroes"),
        (TransmissionFlags.SendDontFragment, "df"), (TransmissionFlags.CanMultiConn, "multi"), (TransmissionFlags.SendResize, "resize"),
        (TransmissionFlags.SendCache, "cache"), (TransmissionFlags.SendFastZero, "fast-zero"), (TransmissionFlags.BlockStatusPayload, "block-status-payload"),
    ];

    public static void Write(TextWriter output, IReadOnlyList<ExportDetails> exports)
    {
        Line(output, $"exports available: {exports.Count}");
        foreach (ExportDetails export in exports)
        {
            Line(output, $" export: '{export.Name}'");
            if (!string.IsNullOrEmpty(export.Description)) Line(output, $"  description: {export.Description}");
            if ((export.Flags & TransmissionFlags.HasFlags) != 0)
            {
                Line(output, $"  size:  {export.Size}");
                Line(output, $"  flags: 0x{(ushort)export.Flags:x} ( {string.Concat(s_flags.Where(f => (export.Flags & f.Flag) != 0).Select(f => f.Name + " "))})");
            }

            if (export.BlockSizes is { } sizes)
            {
                Line(output, $"  min block: {sizes.Minimum}");
                Line(output, $"  opt block: {sizes.Preferred}");
                Line(output, $"  max block: {sizes.Maximum}");
            }

            Line(output, $"  transaction size: {(export.Form == HeaderForm.Extended ? 64 : 32)}-bit");
            if (export.Contexts.Count == 0) continue;
            Line(output, $"  available meta contexts: {export.Contexts.Count}");
            foreach (string context in export.Contexts) Line(output, $"   {context}");
        }
    }

    private static void Line(TextWriter output, FormattableString text) => output.Write(text.ToString(CultureInfo.InvariantCulture) + "\n");
}
