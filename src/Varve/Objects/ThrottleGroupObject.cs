using System.Text.Json.Nodes;
using Varve.Filters.Throttle;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Objects;

/// <summary><c>throttle-group</c>: limits that the throttle nodes naming it share.</summary>
internal sealed class ThrottleGroupObject : QomObject
{
    private static readonly string[] s_rates = ["iops-total", "iops-read", "iops-write", "bps-total", "bps-read", "bps-write"];

    /// <summary>Every limit's name, as in <c>ThrottleLimits</c>.</summary>
    private static readonly string[] s_names = [.. s_rates.SelectMany(r => new[] { r, r + "-max", r + "-max-length" }), "iops-size"];

    private static readonly ObjectType s_limits = new("ThrottleLimits", [.. s_names.Select(n => Optional(n, Int))]);
    private static readonly ObjectType s_property = new("", [Required("limits", s_limits)]);

    private readonly ThrottleGroups _groups;
    private readonly ThrottleGroup _group;

    /// <param name="id">Its id, and the group's name.</param>
    /// <param name="options">Checked against <see cref="Options"/>.</param>
    /// <param name="groups">The graph's groups; the new one is added.</param>
    public ThrottleGroupObject(string id, JsonObject options, ThrottleGroups groups) : base(id)
    {
        var limits = new JsonObject();
        foreach (string name in s_names)
        {
            if ((options["limits"]?[name] ?? options["x-" + name]) is { } value) limits[name] = (long)value;
        }

        _groups = groups;
        _group = groups.Add(id, Read(new ThrottleLimits(), limits));
        Properties =
        [
            new("limits", "ThrottleLimits", () => Write(_group.Limits), SetLimits),
            .. s_names.Select(n => new QomProperty("x-" + n, "int", () => Write(_group.Limits)[n]!.DeepClone(), RefuseChange)),
        ];
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("ThrottleGroupProperties",
    [
        Optional("limits", s_limits), .. s_names.Select(n => Optional("x-" + n, Int) with { Features = ["unstable"] }),
    ]);

    public override string TypeName => "throttle-group";

    public override IReadOnlyList<QomProperty> Properties { get; }

    public override bool IsInUse => _group.MemberCount > 0;

    public override void Close() => _groups.Remove(Id);

    private void SetLimits(JsonNode? value)
        => _group.SetLimits(Read(_group.Limits, (JsonObject)OptionChecker.Check(s_property, new JsonObject { ["limits"] = value?.DeepClone() })["limits"]!));

    private static void RefuseChange(JsonNode? value) => throw new BlockException(BlockErrorKind.Invalid, "Property cannot be set after initialization");

    /// <summary>Limits as before, but for those that are given.</summary>
    private static ThrottleLimits Read(ThrottleLimits before, JsonObject given) => new()
    {
        RequestsTotal = Read(before.RequestsTotal, given, "iops-total"),
        Reads = Read(before.Reads, given, "iops-read"),
        Writes = Read(before.Writes, given, "iops-write"),
        BytesTotal = Read(before.BytesTotal, given, "bps-total"),
        BytesRead = Read(before.BytesRead, given, "bps-read"),
        BytesWritten = Read(before.BytesWritten, given, "bps-write"),
        RequestSize = (long?)given["iops-size"] ?? before.RequestSize,
    };

    private static ThrottleRate Read(ThrottleRate before, JsonObject given, string name)
    {
        long burstSeconds = (long?)given[name + "-max-length"] ?? before.BurstSeconds;
        return burstSeconds is >= 0 and <= uint.MaxValue
            ? new((long?)given[name] ?? before.Average, (long?)given[name + "-max"] ?? before.Burst, burstSeconds)
            : throw new BlockException(BlockErrorKind.Invalid, $"{name}-max-length value must be in the range [0, {uint.MaxValue}]");
    }

    private static JsonObject Write(ThrottleLimits limits)
    {
        var all = new JsonObject();
        ThrottleRate[] rates = [limits.RequestsTotal, limits.Reads, limits.Writes, limits.BytesTotal, limits.BytesRead, limits.BytesWritten];
        foreach ((string name, ThrottleRate rate) in s_rates.Zip(rates))
        {
            all[name] = rate.Average;
            all[name + "-max"] = rate.Burst;
            all[name + "-max-length"] = rate.BurstSeconds;
        }

        all["iops-size"] = limits.RequestSize;
        return all;
    }
}
