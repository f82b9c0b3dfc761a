using System.Text;
using Varve.Crypto.Luks;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

// Amending: every change is one that a power loss leaves done or not done, and they are made one after the other
//   upgrade, key slots, refcount width, data file, lazy refcounts, size, downgrade: in this order, so that each finds what it needs.
//   What can be refused is refused before the change it would follow, not before all changes: as the reference does it.

/// <content>Changing the options of an image that exists. Downgrading is in <c>Qcow2Image.Downgrade.cs</c>.</content>
internal sealed partial class Qcow2Image
{
    /// <inheritdoc/>
    public override async ValueTask AmendAsync(AmendRequest request, CancellationToken cancellationToken)
    {
        if (_isUnusable) throw Unusable();
        if (IsReadOnly) BlockThrow.ReadOnly(this);
        if (request.Options.ContainsKey("encrypt")) CheckEncryptionAmendable();
        var options = Qcow2AmendOptions.FromJson(request.Options);
        int version = options.Version ?? _header.Version;
        CheckAmend(options);
        await PrepareForWritingAsync(cancellationToken).ConfigureAwait(false);
        var progress = new AmendProgress(request.Progress, CountOperations(options));

        if (version > _header.Version)
        {
            progress.Begin();
            await CompleteSnapshotTableAsync().ConfigureAwait(false);
            await ChangeVersionAsync(version).ConfigureAwait(false);
            progress.Report(1, 1);
        }

        if (options.Encryption is not null)
        {
            progress.Begin();
            await LuksAmend.RunAsync(_volume!, options.Encryption, Graph.Objects, KeySecret, request.IsForced, cancellationToken).ConfigureAwait(false);
            progress.Report(1, 1);
        }

        if (options.RefcountBits is { } bits && bits != _header.RefcountBits)
        {
            if (version < 3 && bits != Qcow2CreateOptions.DefaultRefcountBits)
            {
                throw Invalid("Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)");
            }

            progress.Begin();
            await ChangeRefcountWidthAsync(bits, progress, cancellationToken).ConfigureAwait(false);
        }

        await AmendDataFileAsync(options, cancellationToken).ConfigureAwait(false);
        CheckAmendedBacking(options);
        if (options.LazyRefcounts is { } isLazy) await AmendLazyRefcountsAsync(isLazy, version, cancellationToken).ConfigureAwait(false);
        if (options.Size is { } size) await ResizeCoreAsync(size, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
        if (version < _header.Version)
        {
            progress.Begin();
            await DowngradeAsync(progress, cancellationToken).ConfigureAwait(false);
        }

        await FlushCoreAsync(cancellationToken).ConfigureAwait(false);
    }

    private int CountOperations(Qcow2AmendOptions options)
        => (options.Version is { } version && version != _header.Version ? 1 : 0)
           + (options.RefcountBits is { } bits && bits != _header.RefcountBits ? 1 : 0)
           + (options.Encryption is null ? 0 : 1);

    /// <summary>What is refused before anything changes.</summary>
    private void CheckAmend(Qcow2AmendOptions options)
    {
        bool hasDataFile = (_header.Incompatible & Qcow2Incompatible.DataFile) != 0;
        if (options.DataFile is not null && !hasDataFile) throw Invalid("data-file can only be set for images that use an external data file");
        if (options.DataFileRaw == true && (_header.Autoclear & Qcow2Autoclear.RawExternalData) == 0)
        {
            throw Invalid("data-file-raw cannot be set on existing images");
        }
    }

    private void CheckEncryptionAmendable()
    {
        if (_header.CryptMethod == NotEncrypted) throw Invalid("Can't amend encryption options - encryption not present");
        if (_header.CryptMethod != LuksMethod) throw Invalid("Only LUKS encryption options can be amended");
    }

    private void CheckAmendedBacking(Qcow2AmendOptions options)
    {
        bool isSame = (options.BackingFile ?? RecordedBackingFile) == RecordedBackingFile
            && (options.BackingFormat ?? RecordedBackingFormat) == RecordedBackingFormat;
        if (isSame) return;
        throw new BlockException(BlockErrorKind.Invalid, "Cannot amend the backing file")
        {
            NodeName = NodeName,
            Hint = "You can use 'qemu-img rebase' instead.",
        };
    }

    private async ValueTask AmendDataFileAsync(Qcow2AmendOptions options, CancellationToken cancellationToken)
    {
        if (options.DataFileRaw == false)
        {
            await UpdateHeaderAsync(h => h with { Autoclear = h.Autoclear & ~Qcow2Autoclear.RawExternalData }, cancellationToken).ConfigureAwait(false);
        }

        if (options.DataFile is not { } name) return;
        await ChangeExtensionAsync(HeaderExtension.DataFileName, name.Length > 0 ? Encoding.UTF8.GetBytes(name) : null, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask AmendLazyRefcountsAsync(bool isLazy, int version, CancellationToken cancellationToken)
    {
        if (isLazy && version < 3)
        {
            throw Invalid("Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)");
        }

        if (_header.Version < 3) return;
        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);   // what one way leaves undone, the other does not expect
        _options = _options.WithLazyRefcounts(isLazy);
        await UpdateHeaderAsync(
            h => WithoutDirty(h) with { Compatible = isLazy ? h.Compatible | Qcow2Compatible.LazyRefcounts : h.Compatible & ~Qcow2Compatible.LazyRefcounts },
            cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Turns the header into one of another version; features that the version has not are gone.</summary>
    private ValueTask ChangeVersionAsync(int version) => RewriteHeaderAsync(
        current => HeaderRewrite.PlanVersion(current, current.Header with
        {
            Version = version,
            HeaderLength = version < 3 ? Qcow2Header.V2Length : Qcow2Header.LengthWithCompressionType,
            Incompatible = Qcow2Incompatible.None,
            Compatible = Qcow2Compatible.None,
            Autoclear = Qcow2Autoclear.None,
            CompressionType = Qcow2CompressionType.Zlib,
        }),
        CancellationToken.None);
}
