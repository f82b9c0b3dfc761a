using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Protocols.File;

/// <summary><c>file</c>: regular files of the host.</summary>
internal sealed class FileDriver : BlockDriver
{
    private static readonly EnumType s_onOffAuto = new("OnOffAuto", ["auto", "on", "off"]);
    private static readonly EnumType s_aio = new("BlockdevAioOptions", ["threads", "native", "io_uring"]);

    public override string Name => "file";

    public override IReadOnlyList<string> ProtocolPrefixes => ["file"];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("filename", OptionType.Str),
        OptionMember.Optional("pr-manager", OptionType.Str),
        OptionMember.Optional("locking", s_onOffAuto),
        OptionMember.Optional("aio", s_aio),
        OptionMember.Optional("aio-max-batch", OptionType.Int),
        OptionMember.Optional("drop-cache", OptionType.Bool),
    ];

    public override IReadOnlyList<string> StrongOptions => ["filename"];

    public override JsonObject ParseFilename(string filename)
        => new() { ["filename"] = filename.StartsWith("file:", StringComparison.Ordinal) ? filename["file:".Length..] : filename };

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        string filename = opening.TakeString("filename") is { Length: > 0 } name
            ? name
            : throw new BlockException(BlockErrorKind.Invalid, "The 'file' block driver requires a file name");
        foreach (string ignored in (string[])["locking", "aio", "aio-max-batch", "drop-cache"]) opening.Take(ignored);
        HostFile file = HostFile.Open(filename, new HostFileAccess(!opening.Settings.ReadOnly, opening.Settings.CacheDirect), opening.Graph.FdSets);
        return new(new FileNode(opening, filename, file));
    }
}
