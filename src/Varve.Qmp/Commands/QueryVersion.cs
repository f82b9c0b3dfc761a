using System.Reflection;
using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>query-version</c>: the version of QEMU whose interface this is, and ours as the package.</summary>
internal sealed class QueryVersion() : QmpCommand("query-version")
{
    private static readonly ObjectType s_triple = new("VersionTriple", [Required("major", Int), Required("minor", Int), Required("micro", Int)]);

    public override OptionType Returns { get; } = new ObjectType("VersionInfo", [Required("qemu", s_triple), Required("package", Str)]);

    public override bool NeedsControlLock => false;

    /// <summary>QAPI's <c>VersionInfo</c>. Clients decide by the numbers what they may send, so these are the reference's.</summary>
    public static JsonObject Version() => new()
    {
        ["qemu"] = new JsonObject { ["micro"] = 0, ["minor"] = 2, ["major"] = 8 },
        ["package"] = $"Varve {typeof(QueryVersion).Assembly.GetName().Version?.ToString(3)}",
    };

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken) => new(Version());
}
