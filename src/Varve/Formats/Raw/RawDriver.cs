using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Raw;

/// <summary><c>raw</c>: bytes as they are.</summary>
internal sealed class RawDriver : BlockDriver
{
    public override string Name => "raw";

    public override bool IsFormat => true;

    public override IReadOnlyList<OptionMember> Options =>
    [
        OptionMember.Optional("offset", OptionType.Int),
        OptionMember.Optional("size", OptionType.Int),
        OptionMember.Required("file", BlockdevSchema.Ref),
    ];

    public override IReadOnlyList<string> StrongOptions => ["offset", "size"];

    /// <summary>Everything is raw, when it is nothing else.</summary>
    public override int Probe(ReadOnlySpan<byte> head, string? filename) => 1;

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        (long offset, long? size) = TakeWindow(opening);
        var node = new RawNode(opening);

        // Without a window the node behaves like a filter; with one it is a format whose data lies in the child.
        ChildRole role = ChildRole.Primary | (offset == 0 && size is null ? ChildRole.Filtered : ChildRole.Data);
        await opening.OpenRequiredChildAsync(node, "file", role, cancellationToken).ConfigureAwait(false);
        node.SetWindow(offset, size);
        return node;
    }

    /// <summary>Takes the part of the file that is shown: all of it without options.</summary>
    internal static (long Offset, long? Size) TakeWindow(NodeOpening opening)
    {
        long offset = opening.TakeSize("offset") ?? 0;
        long? size = opening.TakeSize("size");
        if (offset < 0) throw Negative("offset");
        if (size < 0) throw Negative("size");
        return (offset, size);
    }

    // Differs from QEMU: it has no blockdev-create for raw; an image of it is made by making the file.
    public override IReadOnlyList<OptionMember> CreateOptions { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Required("size", OptionType.Size),
        OptionMember.Optional("preallocation", BlockdevSchema.Preallocation),
    ];

    /// <summary>Gives the file the image's length, with zeros in it.</summary>
    public override async ValueTask CreateAsync(BlockGraph graph, JsonObject options, CancellationToken cancellationToken)
    {
        BlockBackend backend;
        (long Size, PreallocationMode Preallocation) create;
        using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            (backend, create) = await graph.OpenForCreationAsync(
                options["file"], () => ((long)options["size"]!, PreallocationModeText.Parse((string?)options["preallocation"])),
                cancellationToken).ConfigureAwait(false);
        }

        try
        {
            await backend.RunAsync(
                static async (node, create, token) =>
                {
                    await node.ResizeAsync(0, PreallocationMode.Off, token).ConfigureAwait(false);
                    await node.ResizeAsync(create.Size, create.Preallocation, token).ConfigureAwait(false);
                    await node.FlushAsync(token).ConfigureAwait(false);
                    return true;
                },
                create, cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
            {
                await backend.CloseAsync().ConfigureAwait(false);
            }
        }
    }

    private static BlockException Negative(string name)
        => new(BlockErrorKind.Invalid, $"Parameter '{name}' expects a non-negative number below 2^64");
}
