using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Objects;

/// <summary>The options of <c>object-add</c> and <c>--object</c>.</summary>
internal static class ObjectOptions
{
    public static ObjectType Type { get; } = new(
        "ObjectOptions",
        [Required("qom-type", new EnumType("ObjectType", ["iothread", "secret", "throttle-group"])), Required("id", Str)],
        "qom-type",
        new Dictionary<string, ObjectType>
        {
            ["iothread"] = IOThread.Options, ["secret"] = Secret.Options, ["throttle-group"] = ThrottleGroupObject.Options,
        });
}
