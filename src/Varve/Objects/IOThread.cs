using System.Text.Json.Nodes;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Objects;

/// <summary><c>iothread</c>: accepted, named and readable, so that configurations carry over.</summary>
/// <remarks>Differs from QEMU: exports have threads of their own, so naming one here changes nothing.</remarks>
internal sealed class IOThread : QomObject
{
    private static readonly (string Name, long Default)[] s_numbers =
    [
        ("aio-max-batch", 0), ("thread-pool-min", 0), ("thread-pool-max", 64), ("poll-max-ns", 32768), ("poll-grow", 0), ("poll-shrink", 0),
    ];

    private readonly Dictionary<string, long> _values;

    public IOThread(string id, JsonObject options) : base(id)
    {
        _values = s_numbers.ToDictionary(n => n.Name, n => (long?)options[n.Name] ?? n.Default, StringComparer.Ordinal);
        foreach ((string name, long value) in _values) Check(name, value);
        if (_values["thread-pool-min"] > _values["thread-pool-max"])
        {
            throw new BlockException(BlockErrorKind.Invalid, "bad thread-pool-min/thread-pool-max values");
        }

        Properties = [.. s_numbers.Select(n => new QomProperty(n.Name, "int", () => _values[n.Name], value => Set(n.Name, value)))];
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("IothreadProperties", [.. s_numbers.Select(n => Optional(n.Name, Int))]);

    public override string TypeName => "iothread";

    public override IReadOnlyList<QomProperty> Properties { get; }

    private void Set(string name, JsonNode? value)
    {
        if (!OptionChecker.TryGetInteger(value, out Int128 number) || number > long.MaxValue)
        {
            throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter type for '{name}', expected: integer");
        }

        Check(name, (long)number);
        _values[name] = (long)number;
    }

    private static void Check(string name, long value)
    {
        if (value < 0) throw new BlockException(BlockErrorKind.Invalid, $"{name} value must be in range [0, {long.MaxValue}]");
    }
}
