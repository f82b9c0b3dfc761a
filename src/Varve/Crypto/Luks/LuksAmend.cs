using System.Text.Json.Nodes;
using Varve.IO;
using Varve.Objects;
using Varve.Options;

namespace Varve.Crypto.Luks;

/// <summary>Adding, replacing and erasing key slots (<c>QCryptoBlockAmendOptionsLUKS</c>).</summary>
internal sealed class LuksAmend
{
    private static readonly EnumType s_state = new("QCryptoBlockLUKSKeyslotState", ["active", "inactive"]);

    private readonly LuksVolume _volume;
    private readonly JsonObject _options;
    private readonly ObjectRegistry _objects;
    private readonly bool _isForced;

    private LuksAmend(LuksVolume volume, JsonObject options, ObjectRegistry objects, bool isForced)
        => (_volume, _options, _objects, _isForced) = (volume, options, objects, isForced);

    /// <summary>The members, as <c>x-blockdev-amend</c> has them.</summary>
    public static IReadOnlyList<OptionMember> Members { get; } =
    [
        OptionMember.Required("state", s_state), OptionMember.Optional("new-secret", OptionType.Str),
        OptionMember.Optional("old-secret", OptionType.Str), OptionMember.Optional("keyslot", OptionType.Int),
        OptionMember.Optional("iter-time", OptionType.Int), OptionMember.Optional("secret", OptionType.Str),
    ];

    private string? NewSecret => (string?)_options["new-secret"];

    private string? OldSecret => (string?)_options["old-secret"];

    /// <summary>Does what the options say; durable when it is done.</summary>
    /// <param name="volume">Whose slots.</param>
    /// <param name="options">Checked against <see cref="Members"/>.</param>
    /// <param name="objects">Where the secrets are.</param>
    /// <param name="openedWith">The secret that opened the volume: it opens it again, unless <c>secret</c> names another.</param>
    /// <param name="isForced">Whether the last key may be erased and a key be overwritten.</param>
    /// <param name="cancellationToken">Honoured until the first write.</param>
    /// <exception cref="BlockException">In the reference's words; nothing has changed.</exception>
    public static async ValueTask RunAsync(
        LuksVolume volume, JsonObject options, ObjectRegistry objects, string? openedWith, bool isForced, CancellationToken cancellationToken)
    {
        using AsyncLock.Holder held = await volume.AmendLock.EnterAsync().ConfigureAwait(false);
        var amend = new LuksAmend(volume, options, objects, isForced);
        if ((string?)options["state"] == "active") await amend.ActivateAsync(openedWith, cancellationToken).ConfigureAwait(false);
        else await amend.EraseAsync(cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask ActivateAsync(string? openedWith, CancellationToken cancellationToken)
    {
        if (NewSecret is null) throw Invalid("'new-secret' is required to activate a keyslot");
        if (OldSecret is not null) throw Invalid("'old-secret' must not be given when activating keyslots");
        int slot = KeySlot() ?? _volume.FreeSlot;
        if (slot < 0) throw Invalid("Can't add a keyslot - all keyslots are in use");
        bool isReplaced = _volume.Header.Slots[slot].IsActive;
        if (isReplaced && !_isForced) throw Invalid($"Refusing to overwrite active keyslot {slot} - please erase it first");

        TimeSpan time = LuksCreateOptions.ReadIterationTime(_options);
        using SecretBytes passphrase = Passphrase((string?)_options["secret"] ?? openedWith);
        using SecretBytes key = await _volume.UnlockAsync(passphrase, cancellationToken).ConfigureAwait(false);
        using SecretBytes added = Passphrase(NewSecret);
        cancellationToken.ThrowIfCancellationRequested();
        if (isReplaced) await _volume.ReplaceKeyAsync(slot, key, added, time, CancellationToken.None).ConfigureAwait(false);
        else await _volume.AddKeyAsync(slot, key, added, time, CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask EraseAsync(CancellationToken cancellationToken)
    {
        if (NewSecret is not null) throw Invalid("'new-secret' must not be given when erasing keyslots");
        if (_options["iter-time"] is not null) throw Invalid("'iter-time' must not be given when erasing keyslots");
        if (_options["secret"] is not null) throw Invalid("'secret' must not be given when erasing keyslots");
        List<int> slots = KeySlot() is { } slot
            ? [await CheckErasableAsync(slot, cancellationToken).ConfigureAwait(false)]
            : await FindErasableAsync(cancellationToken).ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        foreach (int index in slots) await _volume.EraseKeyAsync(index, CancellationToken.None).ConfigureAwait(false);
    }

    private async ValueTask<int> CheckErasableAsync(int slot, CancellationToken cancellationToken)
    {
        if (OldSecret is { } old)
        {
            using SecretBytes passphrase = Passphrase(old);
            using SecretBytes? key = await _volume.TrySlotAsync(slot, passphrase, cancellationToken).ConfigureAwait(false);
            if (key is null) throw Invalid($"Given keyslot {slot} doesn't contain the given old password for erase operation");
        }

        if (!_isForced && !_volume.Header.Slots[slot].IsActive) throw Invalid($"Given keyslot {slot} is already erased (inactive) ");
        if (!_isForced && _volume.ActiveCount == 1)
        {
            throw Invalid($"Attempt to erase the only active keyslot {slot} which will erase all the data in the image irreversibly - refusing operation");
        }

        return slot;
    }

    /// <summary>The slots that the old secret opens.</summary>
    private async ValueTask<List<int>> FindErasableAsync(CancellationToken cancellationToken)
    {
        if (OldSecret is null)
        {
            throw Invalid("To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given");
        }

        using SecretBytes passphrase = Passphrase(OldSecret);
        List<int> found = [];
        for (int i = 0; i < LuksHeader.SlotCount; i++)
        {
            using SecretBytes? key = await _volume.TrySlotAsync(i, passphrase, cancellationToken).ConfigureAwait(false);
            if (key is not null) found.Add(i);
        }

        if (found.Count == 0) throw Invalid("No keyslots match given (old) password for erase operation");
        if (found.Count == _volume.ActiveCount && !_isForced)
        {
            throw Invalid("All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image "
                + "irreversibly - refusing operation");
        }

        return found;
    }

    private int? KeySlot()
    {
        if ((long?)_options["keyslot"] is not { } slot) return null;
        return slot is >= 0 and < LuksHeader.SlotCount
            ? (int)slot
            : throw Invalid($"Invalid keyslot {slot} specified, must be between 0 and {LuksHeader.SlotCount - 1}");
    }

    private SecretBytes Passphrase(string? id)
        => _objects.FindSecret(id ?? throw Invalid("Parameter 'key-secret' is required for cipher")).CopyPassphrase();

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
