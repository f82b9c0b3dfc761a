using System.IO.Enumeration;
using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Objects;

/// <summary>Decides who may come in: the objects <c>authz-*</c>.</summary>
internal abstract class Authorizer(string id) : QomObject(id)
{
    public override IReadOnlyList<QomProperty> Properties => [];

    /// <summary>Whether somebody of this name may.</summary>
    public abstract bool Allows(string identity);
}

/// <summary><c>authz-simple</c>: one name.</summary>
internal sealed class AuthzSimple(string id, JsonObject options) : Authorizer(id)
{
    private readonly string _identity = (string)options["identity"]!;

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("AuthZSimpleProperties", [Required("identity", Str)]);

    public override string TypeName => "authz-simple";

    public override IReadOnlyList<QomProperty> Properties => [new("identity", "string", () => _identity)];

    public override bool Allows(string identity) => identity == _identity;
}

/// <summary>Rules in order: the first that matches decides, else the policy.</summary>
internal sealed class AuthorizationRules
{
    private static readonly EnumType s_policy = new("QAuthZListPolicy", ["deny", "allow"]), s_format = new("QAuthZListFormat", ["exact", "glob"]);

    private static readonly ObjectType s_rule = new("QAuthZListRule", [Required("match", Str), Required("policy", s_policy), Optional("format", s_format)]);

    private readonly bool _allowsByDefault;
    private readonly List<(string Match, bool Allows, bool IsGlob)> _rules = [];

    public AuthorizationRules(JsonObject options)
    {
        _allowsByDefault = (string?)options["policy"] == "allow";
        foreach (JsonNode? rule in options["rules"] as JsonArray ?? [])
        {
            _rules.Add(((string)rule!["match"]!, (string?)rule["policy"] == "allow", (string?)rule["format"] == "glob"));
        }
    }

    /// <summary>As an object's options or a file say it.</summary>
    public static ObjectType Type { get; } = new("AuthZListProperties", [Optional("policy", s_policy), Optional("rules", s_rule.List)]);

    public bool Allows(string identity)
    {
        foreach ((string match, bool allows, bool isGlob) in _rules)
        {
            if (isGlob ? FileSystemName.MatchesSimpleExpression(match, identity, ignoreCase: false) : match == identity) return allows;
        }

        return _allowsByDefault;
    }
}

/// <summary><c>authz-list</c>: rules given with the object.</summary>
internal sealed class AuthzList(string id, JsonObject options) : Authorizer(id)
{
    private readonly AuthorizationRules _rules = new(options);

    public override string TypeName => "authz-list";

    public override bool Allows(string identity) => _rules.Allows(identity);
}

/// <summary><c>authz-list-file</c>: rules in a JSON file, read again when it has changed.</summary>
internal sealed class AuthzListFile : Authorizer
{
    private const int MaxFileSize = 1 << 20;

    private readonly string _path;
    private readonly bool _refreshes;
    private AuthorizationRules _rules;
    private DateTime _read;

    public AuthzListFile(string id, JsonObject options) : base(id)
    {
        _path = (string)options["filename"]!;
        _refreshes = (bool?)options["refresh"] ?? true;
        _rules = Load();
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("AuthZListFileProperties", [Required("filename", Str), Optional("refresh", Bool)]);

    public override string TypeName => "authz-list-file";

    public override IReadOnlyList<QomProperty> Properties => [new("filename", "string", () => _path), new("refresh", "bool", () => _refreshes)];

    /// <summary>A file that cannot be read any more lets nobody in.</summary>
    public override bool Allows(string identity)
    {
        try
        {
            if (_refreshes && File.GetLastWriteTimeUtc(_path) != _read) _rules = Load();
            return _rules.Allows(identity);
        }
        catch (BlockException)
        {
            return false;
        }
    }

    private AuthorizationRules Load()
    {
        try
        {
            var file = new FileInfo(_path);
            if (file is { Exists: true, Length: > MaxFileSize }) throw Unusable($"larger than {MaxFileSize} bytes");
            _read = File.GetLastWriteTimeUtc(_path);
            return LenientJson.Parse(File.ReadAllText(_path)) is JsonObject rules
                ? new AuthorizationRules(OptionChecker.Check(AuthorizationRules.Type, rules))
                : throw Unusable("it holds no JSON object");
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw Unusable($"Failed to open file “{_path}”: {Errno.Text(Errno.ENOENT)}");
        }
        catch (UnauthorizedAccessException)
        {
            throw Unusable($"Failed to open file “{_path}”: {Errno.Text(Errno.EACCES)}");
        }
    }

    private BlockException Unusable(string why) => new(BlockErrorKind.Invalid, $"Unable to read '{_path}': {why}");
}
