using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.BlkDebug;

/// <summary><c>blkdebug</c>: injects errors, suspends requests and narrows limits, by rules. For tests.</summary>
internal sealed class BlkDebugDriver : BlockDriver
{
    private const string InjectError = "inject-error", SetState = "set-state", Image = "image", NamedImage = "x-image", Config = "config";

    private static readonly EnumType s_ioType = new("BlkdebugIOType", ["read", "write", "write-zeroes", "discard", "flush", "block-status"]),
        s_permission = new("BlockPermission", ["consistent-read", "write", "write-unchanged", "resize"]);

    private static readonly ObjectType s_injectError = new("BlkdebugInjectErrorOptions",
    [
        OptionMember.Required("event", BlkDebugEvents.Type),
        OptionMember.Optional("state", OptionType.Int),
        OptionMember.Optional("iotype", s_ioType),
        OptionMember.Optional("errno", OptionType.Int),
        OptionMember.Optional("sector", OptionType.Int),
        OptionMember.Optional("once", OptionType.Bool),
        OptionMember.Optional("immediately", OptionType.Bool),
    ]);

    private static readonly ObjectType s_setState = new("BlkdebugSetStateOptions",
    [
        OptionMember.Required("event", BlkDebugEvents.Type),
        OptionMember.Optional("state", OptionType.Int),
        OptionMember.Required("new_state", OptionType.Int),
    ]);

    public override string Name => "blkdebug";

    public override bool IsFilter => true;

    public override IReadOnlyList<string> ProtocolPrefixes { get; } = ["blkdebug"];

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required(Image, BlockdevSchema.Ref),
        OptionMember.Optional(Config, OptionType.Str),
        OptionMember.Optional("align", OptionType.Int),
        OptionMember.Optional("max-transfer", OptionType.Int32),
        OptionMember.Optional("opt-write-zero", OptionType.Int32),
        OptionMember.Optional("max-write-zero", OptionType.Int32),
        OptionMember.Optional("opt-discard", OptionType.Int32),
        OptionMember.Optional("max-discard", OptionType.Int32),
        OptionMember.Optional(InjectError, s_injectError.List),
        OptionMember.Optional(SetState, s_setState.List),
        OptionMember.Optional("take-child-perms", s_permission.List),
        OptionMember.Optional("unshare-child-perms", s_permission.List),
    ];

    public override IReadOnlyList<string> StrongOptions { get; } = [Config, InjectError, SetState];

    /// <summary><c>blkdebug:[configuration]:image</c>; without the prefix the whole text names the image.</summary>
    public override JsonObject ParseFilename(string filename)
    {
        const string Prefix = "blkdebug:";
        if (!filename.StartsWith(Prefix, StringComparison.Ordinal)) return new() { [NamedImage] = filename };
        string rest = filename[Prefix.Length..];
        int colon = rest.IndexOf(':', StringComparison.Ordinal);
        if (colon < 0) throw new BlockException(BlockErrorKind.Invalid, "blkdebug requires both config file and image path");
        var options = new JsonObject { [NamedImage] = rest[(colon + 1)..] };
        if (colon > 0) options[Config] = rest[..colon];
        return options;
    }

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new BlkDebugNode(opening);
        if (opening.TakeString(Config) is { Length: > 0 } config) BlkDebugConfig.Read(config, node.Rules);
        foreach (JsonObject rule in TakeList(opening, InjectError)) node.Rules.Add(ReadInjectError(rule));
        foreach (JsonObject rule in TakeList(opening, SetState)) node.Rules.Add(ReadSetState(rule));
        node.TakePermissions = TakePermissionList(opening, "take-child-perms");
        node.UnsharePermissions = TakePermissionList(opening, "unshare-child-perms");

        string? image = opening.TakeString(NamedImage);
        const ChildRole Role = ChildRole.Filtered | ChildRole.Primary;
        if (image is null) await opening.OpenRequiredChildAsync(node, Image, Role, cancellationToken).ConfigureAwait(false);
        else await opening.OpenChildByNameAsync(node, Image, Role, image, cancellationToken).ConfigureAwait(false);

        node.SetLimits(new BlkDebugLimits(
            Align: opening.TakeSize("align") ?? 0,
            MaxTransfer: opening.TakeSize("max-transfer") ?? 0,
            ZeroesAlign: opening.TakeSize("opt-write-zero") ?? 0,
            MaxZeroes: opening.TakeSize("max-write-zero") ?? 0,
            DiscardAlign: opening.TakeSize("opt-discard") ?? 0,
            MaxDiscard: opening.TakeSize("max-discard") ?? 0));
        await node.DebugEventAsync(BlkdebugEvent.None).ConfigureAwait(false);   // rules for no event in particular hold from the start
        return node;
    }

    /// <summary>A rule from its members: typed JSON, or text from a command line or a configuration file.</summary>
    internal static InjectErrorRule ReadInjectError(JsonObject rule)
    {
        long? sector = ReadLong(rule, "sector");
        return new InjectErrorRule(ReadEvent(rule), (int)(ReadLong(rule, "state") ?? 0))
        {
            IOTypes = OptionChecker.TextOf(rule["iotype"]) is { } type ? ParseIOType(type) : BlkDebugIOTypes.Default,
            Errno = (int)(ReadLong(rule, "errno") ?? Errno.EIO),
            Offset = sector is null or < 0 ? null : sector * Align.SectorSize,
            Once = ReadBool(rule, "once"),
            Immediately = ReadBool(rule, "immediately"),
        };
    }

    /// <inheritdoc cref="ReadInjectError"/>
    internal static SetStateRule ReadSetState(JsonObject rule)
        => new(ReadEvent(rule), (int)(ReadLong(rule, "state") ?? 0), (int)(ReadLong(rule, "new_state") ?? 0));

    /// <summary>The first member of a rule that rules of its kind do not have; null where all are known.</summary>
    internal static string? FindUnknownMember(string section, JsonObject rule)
    {
        IReadOnlyList<OptionMember> members = (section == InjectError ? s_injectError : s_setState).Members;
        return rule.Select(m => m.Key).FirstOrDefault(k => !members.Any(m => m.Name == k));
    }

    private static BlkdebugEvent ReadEvent(JsonObject rule)
        => BlkDebugEvents.Parse(OptionChecker.TextOf(rule["event"])
            ?? throw new BlockException(BlockErrorKind.Invalid, "Missing event name for rule"));

    private static BlkDebugIOTypes ParseIOType(string name) => name switch
    {
        "read" => BlkDebugIOTypes.Read,
        "write" => BlkDebugIOTypes.Write,
        "write-zeroes" => BlkDebugIOTypes.WriteZeroes,
        "discard" => BlkDebugIOTypes.Discard,
        "flush" => BlkDebugIOTypes.Flush,
        "block-status" => BlkDebugIOTypes.BlockStatus,
        _ => throw new BlockException(BlockErrorKind.Invalid, $"invalid parameter value: {name}"),
    };

    private static BlockPermissions TakePermissionList(NodeOpening opening, string option)
    {
        BlockPermissions all = BlockPermissions.None;
        foreach (JsonNode? item in opening.Take(option) as JsonArray ?? [])
        {
            all |= OptionChecker.TextOf(item) switch
            {
                "consistent-read" => BlockPermissions.ConsistentRead,
                "write" => BlockPermissions.Write,
                "write-unchanged" => BlockPermissions.WriteUnchanged,
                "resize" => BlockPermissions.Resize,
                var other => throw new BlockException(BlockErrorKind.Invalid, $"Parameter 'null' does not accept value '{other}'"),
            };
        }

        return all;
    }

    private static IEnumerable<JsonObject> TakeList(NodeOpening opening, string option)
    {
        JsonArray list = opening.Take(option) switch
        {
            null => [],
            JsonArray given => given,
            _ => throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter type for '{option}', expected: array"),
        };
        foreach (JsonObject rule in list.OfType<JsonObject>())
        {
            if (FindUnknownMember(option, rule) is { } unknown)
            {
                throw new BlockException(BlockErrorKind.Invalid, $"[{option}] section doesn't support the option '{unknown}'");
            }

            yield return rule;
        }
    }

    private static long? ReadLong(JsonObject rule, string member)
    {
        if (rule[member] is not { } value) return null;
        if (OptionChecker.TryGetInteger(value, out Int128 number)) return (long)number;
        return long.TryParse(OptionChecker.TextOf(value), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long parsed)
            ? parsed
            : throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{member}' expects a number");
    }

    private static bool ReadBool(JsonObject rule, string member)
    {
        if (rule[member] is not { } value) return false;
        if (value.GetValueKind() is JsonValueKind.True or JsonValueKind.False) return value.GetValue<bool>();
        return OptionChecker.TryParseBool(OptionChecker.TextOf(value) ?? "")
            ?? throw new BlockException(BlockErrorKind.Invalid, $"Parameter '{member}' expects 'on' or 'off'");
    }
}
