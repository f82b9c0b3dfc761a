using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Objects;

/// <summary>The options of <c>object-add</c> and <c>--object</c>.</summary>
internal static class ObjectOptions
{
    public static ObjectType Type { get; } = new(
        "ObjectOptions",
        [Required("qom-type", new EnumType("ObjectType", [.. ObjectKind.All.Select(k => k.Name)])), Required("id", Str)],
        "qom-type",
        ObjectKind.All.ToDictionary(k => k.Name, k => k.Options, StringComparer.Ordinal));
}
