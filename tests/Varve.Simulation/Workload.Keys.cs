using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;

namespace Varve.Simulation;

/// <content>Key slots of an encrypted top.</content>
internal sealed partial class Workload
{
    /// <summary>Adds a passphrase, erases one that is not the last, or puts another in its place.</summary>
    private async ValueTask ChangeKeysAsync()
    {
        KeyModel keys = expected.Keys;
        List<string> sure = keys.Sure;
        string? added = keys.Unused;
        if (sure.Count == 0) return;      // a disk that fails: whether the last change happened is open
        int choice = random.Next(3);
        if (choice == 0 && sure.Count > 1)
        {
            string erased = sure[random.Next(sure.Count)];
            keys.Set(erased, KeyModel.KeyState.MayOpen);
            await AmendKeysAsync(new JsonObject { ["state"] = "inactive", ["old-secret"] = erased });
            if (!machine.Disk.IsOff) keys.Set(erased, KeyModel.KeyState.Gone);
        }
        else if (added is not null && (choice == 1 || sure.Count > 6))
        {
            await ReplaceKeyAsync(sure[random.Next(sure.Count)], added);
        }
        else if (added is not null)
        {
            keys.Set(added, KeyModel.KeyState.MayOpen);
            await AmendKeysAsync(new JsonObject { ["state"] = "active", ["new-secret"] = added, ["secret"] = sure[0], ["iter-time"] = "10" });
            if (!machine.Disk.IsOff) keys.Set(added, KeyModel.KeyState.Opens);
        }
    }

    private async ValueTask ReplaceKeyAsync(string replaced, string added)
    {
        int slot = await FindSlotAsync(machine.Top, replaced);
        expected.Keys.Set(replaced, KeyModel.KeyState.MayOpen);
        expected.Keys.Set(added, KeyModel.KeyState.MayOpen);
        await AmendKeysAsync(new JsonObject { ["state"] = "active", ["new-secret"] = added, ["secret"] = replaced, ["keyslot"] = $"{slot}", ["iter-time"] = "10" });
        if (machine.Disk.IsOff) return;
        expected.Keys.Set(replaced, KeyModel.KeyState.Gone);
        expected.Keys.Set(added, KeyModel.KeyState.Opens);
    }

    private ValueTask AmendKeysAsync(JsonObject options)
        => LyingAsync(() => machine.Top.AmendAsync(new AmendRequest(new JsonObject { ["encrypt"] = options }) { IsForced = true }, default));

    /// <summary>The key slot that a passphrase opens.</summary>
    private static async ValueTask<int> FindSlotAsync(Qcow2Image image, string key)
    {
        using Crypto.SecretBytes passphrase = image.Graph.Objects.FindSecret(key).CopyPassphrase();
        for (int slot = 0; slot < Crypto.Luks.LuksHeader.SlotCount; slot++)
        {
            using Crypto.SecretBytes? found = await image.Volume!.TrySlotAsync(slot, passphrase, default);
            if (found is not null) return slot;
        }

        throw new BlockException(BlockErrorKind.NotFound, $"Passphrase {key} opens no slot");
    }
}
