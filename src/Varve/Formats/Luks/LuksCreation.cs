using System.Text.Json.Nodes;
using Varve.Crypto;
using Varve.Crypto.Luks;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Luks;

// Order of creation: the file is emptied and given its length, then key material is written and made durable, the header comes last.
// A crash in between leaves a file that is no volume.

/// <summary><c>blockdev-create</c> of a volume.</summary>
internal sealed class LuksCreation(BlockGraph graph, JsonObject options)
{
    private sealed record Plan(LuksCreateOptions Volume, SecretBytes Passphrase, long Size, PreallocationMode Preallocation) : IDisposable
    {
        public void Dispose() => Passphrase.Dispose();
    }

    public async ValueTask RunAsync(CancellationToken cancellationToken)
    {
        if (options["file"] is null && options["header"] is null)
        {
            throw new BlockException(BlockErrorKind.Invalid, "Either the parameter 'header' or 'file' must be specified");
        }

        bool isDetached = options["header"] is not null;
        if (isDetached)
        {
            await CreateInAsync("header", static (node, plan, token) => CreateHeaderAsync(node, plan, isDetached: true, token), cancellationToken)
                .ConfigureAwait(false);
            if (options["file"] is null) return;
        }

        await CreateInAsync(
            "file",
            isDetached
                ? static (node, plan, token) => SetLengthAsync(node, plan.Size, plan, token)
                : static (node, plan, token) => CreateHeaderAsync(node, plan, isDetached: false, token),
            cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask CreateInAsync(
        string child, Func<BlockNode, Plan, CancellationToken, ValueTask> create, CancellationToken cancellationToken)
    {
        BlockBackend backend;
        Plan plan;
        using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            (backend, plan) = await graph.OpenForCreationAsync(options[child], ReadPlan, cancellationToken).ConfigureAwait(false);
        }

        try
        {
            await backend.RunAsync(
                async (node, _, token) =>
                {
                    await create(node, plan, token).ConfigureAwait(false);
                    return true;
                },
                true, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            plan.Dispose();
            using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
            {
                await backend.CloseAsync().ConfigureAwait(false);
            }
        }
    }

    private Plan ReadPlan()
    {
        LuksCreateOptions volume = LuksCreateOptions.FromJson(options);
        if (!OptionChecker.TryGetInteger(options["size"], out Int128 size) || size > long.MaxValue - volume.HeaderSize)
        {
            throw new BlockException(BlockErrorKind.TooLarge, "The requested file size is too large");
        }

        string secret = (string?)options["key-secret"]
            ?? throw new BlockException(BlockErrorKind.Invalid, "Parameter 'key-secret' is required for cipher");
        return new Plan(
            volume, graph.Objects.FindSecret(secret).CopyPassphrase(), (long)size, PreallocationModeText.Parse((string?)options["preallocation"]));
    }

    private static async ValueTask CreateHeaderAsync(BlockNode node, Plan plan, bool isDetached, CancellationToken cancellationToken)
    {
        await SetLengthAsync(node, plan.Volume.HeaderSize + (isDetached ? 0 : plan.Size), plan, cancellationToken).ConfigureAwait(false);
        await LuksVolume.CreateAsync(node, 0, plan.Volume, isDetached, plan.Passphrase, cancellationToken).ConfigureAwait(false);
    }

    private static async ValueTask SetLengthAsync(BlockNode node, long length, Plan plan, CancellationToken cancellationToken)
    {
        PreallocationMode mode = plan.Preallocation == PreallocationMode.Metadata ? PreallocationMode.Off : plan.Preallocation;
        try
        {
            await node.ResizeAsync(0, PreallocationMode.Off, cancellationToken).ConfigureAwait(false);
            await node.ResizeAsync(length, mode, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Unsupported && mode == PreallocationMode.Off && node.Length >= length)
        {
            // What keeps its length (an export of another machine) only has to be long enough.
        }

        await node.FlushAsync(cancellationToken).ConfigureAwait(false);
    }
}
