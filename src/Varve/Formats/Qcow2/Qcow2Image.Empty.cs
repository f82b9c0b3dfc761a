namespace Varve.Formats.Qcow2;

/// <content>Giving up everything the image holds, once it is held elsewhere.</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public override bool CanBecomeEmpty => true;

    /// <inheritdoc/>
    public override async ValueTask MakeEmptyAsync(CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        await GiveUpBehindAsync(length: 0, cancellationToken).ConfigureAwait(false);
    }
}
