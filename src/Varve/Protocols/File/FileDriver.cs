using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.IO;
using Varve.Options;
using Varve.Protocols.File.Engines;

namespace Varve.Protocols.File;

/// <summary><c>file</c>: regular files of the host. The engine of its devices' drivers too.</summary>
internal class FileDriver : BlockDriver
{
    private readonly Func<string, HostFileAccess, FdSets, HostFile> _open;

    public FileDriver()
        : this(HostFileKind.Regular)
    {
    }

    protected FileDriver(HostFileKind kind)
        : this((filename, access, fdSets) => HostFile.Open(filename, access, fdSets, kind))
    {
    }

    /// <summary>With another way to the host's files: the portable one, on a platform that has a better.</summary>
    internal FileDriver(Func<string, HostFileAccess, FdSets, HostFile> open) => _open = open;

    public override string Name => "file";

    public override IReadOnlyList<string> ProtocolPrefixes => [Name];

    public override IReadOnlyList<OptionMember> Options =>
    [
        OptionMember.Required("filename", OptionType.Str),
        OptionMember.Optional("pr-manager", OptionType.Str),
        OptionMember.Optional("locking", BlockdevSchema.OnOffAuto),
        OptionMember.Optional("aio", s_aio),
        OptionMember.Optional("aio-max-batch", OptionType.Int),
        OptionMember.Optional("drop-cache", OptionType.Bool),
        OptionMember.Optional("x-check-cache-dropped", OptionType.Bool) with { Features = ["unstable"] },
    ];

    private static readonly EnumType s_aio = new("BlockdevAioOptions", ["threads", "native", "io_uring"]);

    public override IReadOnlyList<string> StrongOptions => ["filename"];

    public override IReadOnlyList<OptionMember>? CreateOptions => FileCreation.Options;

    public override JsonObject ParseFilename(string filename)
    {
        string prefix = Name + ":";
        string path = filename.StartsWith(prefix, StringComparison.Ordinal) ? filename[prefix.Length..] : filename;

        // Without its prefix a name like "a:b" must not look as if it had another one.
        return new() { ["filename"] = path.Length < filename.Length && FileNames.HasPrefix(path) ? "./" + path : path };
    }

    public override ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        if (opening.TakeString("filename") is not { Length: > 0 } filename)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"The '{Name}' block driver requires a file name");
        }

        if (opening.TakeString("pr-manager") is { } manager)
        {
            throw new BlockException(BlockErrorKind.NotFound, $"No persistent reservation manager with id '{manager}'");
        }

        NodeSettings settings = opening.Settings;
        ImageLocking locking = opening.TakeString("locking") switch
        {
            null or "auto" => ImageLocking.Auto,
            "on" => ImageLocking.On,
            "off" => ImageLocking.Off,
            string other => throw InvalidValue(other),
        };
        FileEngine engine = EngineOf(opening.TakeString("aio"), settings);

        // How many requests go to the kernel at once is for whoever sends them to know, and the page cache is not dropped for another
        // host: images are not taken over from here.
        opening.TakeSize("aio-max-batch");
        opening.TakeBool("drop-cache");
        opening.TakeBool("x-check-cache-dropped");

        // With auto-read-only a writer, when there is one, gets the file opened again for it.
        var access = new HostFileAccess(Writable: settings is { ReadOnly: false, AutoReadOnly: false }, settings.CacheDirect);
        HostFile file = _open(filename, access, opening.Graph.FdSets);
        try
        {
            if (opening.Context.Allowed is { } allowed && allowed.Name == filename) RequireSame(file, allowed);
            return new(new FileNode(opening, filename, file, engine, locking));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Refuses a file that is not the one that was allowed: a link was put in its place, or on the way to it.</summary>
    private static void RequireSame(HostFile file, AllowedFile allowed)
    {
        string? opened = file.FindPath();
        if (opened == allowed.RealPath) return;
        throw new BlockException(BlockErrorKind.Denied, opened is null
            ? $"'{allowed.Name}' may be opened as '{allowed.RealPath}' only, and which file was opened cannot be found out"
            : $"'{allowed.Name}' may be opened as '{allowed.RealPath}' only, but is '{opened}'");
    }

    public override async ValueTask CreateAsync(BlockGraph graph, JsonObject options, CancellationToken cancellationToken)
        => await BlockingThreads.Shared.RunAsync(() => FileCreation.Create(graph, options)).ConfigureAwait(false);

    private static FileEngine EngineOf(string? aio, NodeSettings settings) => aio switch
    {
        null or "threads" => FileEngine.Threads,
        "io_uring" => FileEngine.Uring,
        "native" when settings.CacheDirect => FileEngine.Uring,
        "native" => throw new BlockException(
            BlockErrorKind.Invalid, "aio=native was specified, but it requires cache.direct=on, which was not specified."),
        _ => throw InvalidValue(aio),
    };

    private static BlockException InvalidValue(string value) => new(BlockErrorKind.Invalid, $"invalid parameter value: {value}");
}
