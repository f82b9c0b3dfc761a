using Varve.Options;

namespace Varve.Formats.Qcow2;

/// <summary>The members of <c>BlockdevOptionsQcow2</c>.</summary>
internal static class Qcow2Options
{
    private static readonly EnumType s_overlapMode = new("Qcow2OverlapCheckMode", ["none", "constant", "cached", "all"]);

    private static readonly ObjectType s_overlapFlags = new("Qcow2OverlapCheckFlags",
    [
        OptionMember.Optional("template", s_overlapMode),
        OptionMember.Optional("main-header", OptionType.Bool),
        OptionMember.Optional("active-l1", OptionType.Bool),
        OptionMember.Optional("active-l2", OptionType.Bool),
        OptionMember.Optional("refcount-table", OptionType.Bool),
        OptionMember.Optional("refcount-block", OptionType.Bool),
        OptionMember.Optional("snapshot-table", OptionType.Bool),
        OptionMember.Optional("inactive-l1", OptionType.Bool),
        OptionMember.Optional("inactive-l2", OptionType.Bool),
        OptionMember.Optional("bitmap-directory", OptionType.Bool),
    ]);

    private static readonly AlternateType s_overlapChecks = new("Qcow2OverlapChecks", [("flags", s_overlapFlags), ("mode", s_overlapMode)]);

    private static readonly EnumType s_encryptionFormat = new("BlockdevQcow2EncryptionFormat", ["aes", "luks"]);

    private static readonly ObjectType s_encryption = new("BlockdevQcow2Encryption", [OptionMember.Required("format", s_encryptionFormat)],
        Tag: "format",
        new Dictionary<string, ObjectType>(StringComparer.Ordinal)
        {
            ["aes"] = new("QCryptoBlockOptionsQCow", [OptionMember.Optional("key-secret", OptionType.Str)]),
            ["luks"] = new("QCryptoBlockOptionsLUKS", [OptionMember.Optional("key-secret", OptionType.Str)]),
        });

    public static readonly IReadOnlyList<OptionMember> Members =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Optional("backing", BlockdevSchema.RefOrNull),
        OptionMember.Optional("lazy-refcounts", OptionType.Bool),
        OptionMember.Optional("pass-discard-request", OptionType.Bool),
        OptionMember.Optional("pass-discard-snapshot", OptionType.Bool),
        OptionMember.Optional("pass-discard-other", OptionType.Bool),
        OptionMember.Optional("discard-no-unref", OptionType.Bool),
        OptionMember.Optional("overlap-check", s_overlapChecks),
        OptionMember.Optional("cache-size", OptionType.Int),
        OptionMember.Optional("l2-cache-size", OptionType.Int),
        OptionMember.Optional("l2-cache-entry-size", OptionType.Int),
        OptionMember.Optional("refcount-cache-size", OptionType.Int),
        OptionMember.Optional("cache-clean-interval", OptionType.Int),
        OptionMember.Optional("encrypt", s_encryption),
        OptionMember.Optional("data-file", BlockdevSchema.Ref),
    ];
}
