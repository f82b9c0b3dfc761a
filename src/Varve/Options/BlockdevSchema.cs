using System.Collections;
using Varve.Graph;

namespace Varve.Options;

/// <summary>The types of node options (<c>BlockdevOptions</c> and what it is made of), assembled from what the drivers declare.</summary>
/// <remarks>
/// Drivers refer to <see cref="Ref"/> and <see cref="Driver"/> in their own declarations, so everything that looks at the list
/// of drivers does so late.
/// </remarks>
internal static class BlockdevSchema
{
    private static readonly EnumType s_discard = new("BlockdevDiscardOptions", ["ignore", "unmap"]),
        s_detectZeroes = new("BlockdevDetectZeroesOptions", ["off", "on", "unmap"]);

    private static readonly ObjectType s_cache = new("BlockdevCacheOptions",
    [
        OptionMember.Optional("direct", OptionType.Bool),
        OptionMember.Optional("no-flush", OptionType.Bool),
    ]);

    /// <summary>The names of all drivers.</summary>
    public static EnumType Driver { get; } = new("BlockdevDriver", new Names(() => BlockDrivers.Default.All));

    /// <summary>How much of new space is made ready at once.</summary>
    public static EnumType Preallocation { get; } = new("PreallocMode", ["off", "metadata", "falloc", "full"]);

    /// <summary>A bitmap of a node.</summary>
    public static ObjectType Bitmap { get; } = new("BlockDirtyBitmap",
        [OptionMember.Required("node", OptionType.Str), OptionMember.Required("name", OptionType.Str)]);

    public static EnumType OnOffAuto { get; } = new("OnOffAuto", ["auto", "on", "off"]);

    /// <summary>The options of a node: what every driver has, then the driver's own.</summary>
    public static ObjectType Options { get; } = new("BlockdevOptions",
        [
            OptionMember.Required("driver", Driver),
            OptionMember.Optional("node-name", OptionType.Str),
            OptionMember.Optional("discard", s_discard),
            OptionMember.Optional("cache", s_cache),
            OptionMember.Optional("read-only", OptionType.Bool),
            OptionMember.Optional("auto-read-only", OptionType.Bool),
            OptionMember.Optional("force-share", OptionType.Bool),
            OptionMember.Optional("detect-zeroes", s_detectZeroes),
        ],
        Tag: "driver")
    {
        LateVariants = () => BlockDrivers.Default.All
            .ToDictionary(d => d.Name, d => new ObjectType("BlockdevOptions-" + d.Name, d.Options), StringComparer.Ordinal),
    };

    /// <summary>A child: its options, or the name of a node that exists.</summary>
    public static AlternateType Ref { get; } = new("BlockdevRef", [])
    {
        LateChoices = () => [("definition", Options), ("reference", OptionType.Str)],
    };

    /// <summary>As <see cref="Ref"/>, or null (or an empty name) for none.</summary>
    public static AlternateType RefOrNull { get; } = new("BlockdevRefOrNull", [])
    {
        LateChoices = () => [("definition", Options), ("reference", OptionType.Str), ("null", OptionType.Null)],
    };

    /// <summary>What <c>blockdev-create</c> is told, by driver; drivers that cannot create have no options here and refuse later.</summary>
    public static ObjectType CreateOptions { get; } = new("BlockdevCreateOptions", [OptionMember.Required("driver", Driver)], Tag: "driver")
    {
        LateVariants = () => BlockDrivers.Default.All.Where(d => d.CreateOptions is not null)
            .ToDictionary(d => d.Name, d => new ObjectType("BlockdevCreateOptions-" + d.Name, d.CreateOptions!), StringComparer.Ordinal),
    };

    /// <summary>What <c>x-blockdev-amend</c> is told, by driver; drivers that cannot amend have no options here and refuse later.</summary>
    public static ObjectType AmendOptions { get; } = new("BlockdevAmendOptions", [OptionMember.Required("driver", Driver)], Tag: "driver")
    {
        LateVariants = () => BlockDrivers.Default.All.Where(d => d.AmendOptions is not null)
            .ToDictionary(d => d.Name, d => new ObjectType("BlockdevAmendOptions-" + d.Name, d.AmendOptions!), StringComparer.Ordinal),
    };

    /// <summary>Driver names in alphabetical order, looked up on first use.</summary>
    private sealed class Names(Func<IReadOnlyCollection<BlockDriver>> drivers) : IReadOnlyList<string>
    {
        private IReadOnlyList<string> Sorted => field ??= [.. drivers().Select(d => d.Name).Order(StringComparer.Ordinal)];

        public int Count => Sorted.Count;

        public string this[int index] => Sorted[index];

        public IEnumerator<string> GetEnumerator() => Sorted.GetEnumerator();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
