using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

/// <content>Checking and repairing: what <c>img check</c> calls, and the opening of an image that was not closed cleanly.</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    /// <remarks>Control plane: no request runs meanwhile.</remarks>
    public override async ValueTask<CheckResult> CheckAsync(CheckRepair repair, IProgress<string>? messages, CancellationToken cancellationToken)
    {
        if (repair != CheckRepair.None && IsReadOnly) BlockThrow.ReadOnly(this);
        if (!IsReadOnly && IsDirty != true) await FlushAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            CheckResult result = await new Qcow2Check(this, repair, messages).RunAsync(cancellationToken).ConfigureAwait(false);
            if (repair != CheckRepair.None && result.CheckErrors == 0 && result.Corruptions == 0)
            {
                await UpdateHeaderAsync(
                    h => h with { Incompatible = h.Incompatible & ~(Qcow2Incompatible.Dirty | Qcow2Incompatible.Corrupt) },
                    cancellationToken).ConfigureAwait(false);
            }

            return result;
        }
        finally
        {
            if (repair != CheckRepair.None) await ReadChangedTablesAsync().ConfigureAwait(false);
        }
    }
}
