using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Protocols.File;

/// <summary>Creates host files: <c>blockdev-create</c> with driver <c>file</c>, and what <c>img create</c> puts a format into.</summary>
internal static class FileCreation
{
    private const uint DefaultExtentSizeHint = 1 << 20;

    public static IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("filename", OptionType.Str),
        OptionMember.Required("size", OptionType.Size),
        OptionMember.Optional("preallocation", BlockdevSchema.Preallocation),
        OptionMember.Optional("nocow", OptionType.Bool),
        OptionMember.Optional("extent-size-hint", OptionType.Size),
    ];

    /// <summary>Makes an empty file of a size. A file that is there is emptied, unless another process uses it. Blocks.</summary>
    public static void Create(BlockGraph graph, JsonObject options)
    {
        string filename = (string?)options["filename"] ?? throw Missing("filename");
        ulong size = SizeOf(options, "size") ?? throw Missing("size");
        PreallocationMode preallocation = PreallocationModeText.Parse((string?)options["preallocation"]);
        ulong extentSizeHint = SizeOf(options, "extent-size-hint") ?? DefaultExtentSizeHint;
        if (extentSizeHint > uint.MaxValue) throw new BlockException(BlockErrorKind.Invalid, "Extent size hint is too large");
        if (size > long.MaxValue) throw BlockException.FromErrno(Errno.EFBIG, "Could not resize file");

        using HostFile file = HostFile.Create(filename, graph.FdSets);
        const BlockPermissions Used = BlockPermissions.Write | BlockPermissions.Resize, Unshared = BlockPermissions.Resize;
        var locks = new ImageLocks(file, filename, isRequired: false);
        try
        {
            locks.Add(Used, Unshared);
            locks.RefuseConflicts(Used, Unshared);
            FileSpace.Resize(file, 0, PreallocationMode.Off);
            if ((bool?)options["nocow"] ?? false) file.DisableCopyOnWrite();
            if (extentSizeHint != 0) file.ExtentSizeHint = (uint)extentSizeHint;
            FileSpace.Resize(file, (long)size, preallocation, graph.OnProgress);
        }
        finally
        {
            // Closing is not enough: a process that is just being started holds a copy of the descriptor until it runs its program.
            locks.KeepOnly(BlockPermissions.None, BlockPermissions.None);
        }
    }

    private static ulong? SizeOf(JsonObject options, string name) => options[name] switch
    {
        null => null,
        JsonValue value when value.GetValueKind() == JsonValueKind.Number && ulong.TryParse(
            value.ToJsonString(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) => number,
        _ => throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{name}' expects a non-negative number below 2^64"),
    };

    private static BlockException Missing(string name) => new(BlockErrorKind.Invalid, $"Parameter '{name}' is missing");
}
