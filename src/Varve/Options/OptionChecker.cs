using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Varve.Options;

/// <summary>Where options come from, which decides how their values are typed.</summary>
internal enum OptionStyle
{
    /// <summary>JSON (QMP, a JSON option argument): values have their types.</summary>
    Json,

    /// <summary>An option string (see <see cref="Keyval"/>): every value is text, converted to its option's type.</summary>
    Keyval,
}

/// <summary>Checks options or command arguments against their declared type, and types them.</summary>
/// <remarks>
/// The result holds exactly the declared members that were given, as <see cref="string"/>, <see cref="bool"/>,
/// <see cref="long"/> (or <see cref="ulong"/> beyond it), <see cref="double"/>, objects, lists and null. Errors read as the
/// reference's, with the dotted path where it gives one and the bare name where it does not (enumerations, alternates).
/// </remarks>
internal readonly struct OptionChecker
{
    private readonly OptionStyle _style;

    private OptionChecker(OptionStyle style) => _style = style;

    /// <summary>Checks an object: every member known, none missing, each of its type.</summary>
    /// <param name="type">The declared type.</param>
    /// <param name="value">Read, not changed.</param>
    /// <param name="style">How values are typed.</param>
    /// <returns>A new object in the order of declaration.</returns>
    /// <exception cref="BlockException"><see cref="BlockErrorKind.Invalid"/>, with the reference's text.</exception>
    public static JsonObject Check(ObjectType type, JsonObject value, OptionStyle style = OptionStyle.Json)
        => new OptionChecker(style).CheckObject(type, value, path: null);

    /// <summary>Checks a list of command arguments or option members that have no type of their own.</summary>
    public static JsonObject Check(IReadOnlyList<OptionMember> members, JsonObject value, OptionStyle style = OptionStyle.Json)
        => Check(new ObjectType("arguments", members), value, style);

    /// <summary>Reads an option argument in either form, JSON when it begins with a brace, and checks it.</summary>
    /// <param name="type">The declared type.</param>
    /// <param name="text">As on the command line.</param>
    /// <param name="impliedKey">The key of a first value without one.</param>
    public static JsonObject Parse(ObjectType type, string text, string? impliedKey = null)
        => text.StartsWith('{')
            ? Check(type, (JsonObject)LenientJson.Parse(text)!)
            : Check(type, Keyval.Parse(text, impliedKey), OptionStyle.Keyval);

    private JsonObject CheckObject(ObjectType type, JsonNode? value, OptionPath? path)
    {
        if (value is not JsonObject given) throw WrongType(path, "object");
        var result = new JsonObject();
        CheckMembers(type.Members, given, result, path);
        if (type.Tag is { } tag && type.AllVariants is { } variants && result[tag] is JsonValue selected
            && variants.TryGetValue(selected.GetValue<string>(), out ObjectType? variant))
        {
            CheckMembers(variant.Members, given, result, path);
        }

        foreach (string key in given.Select(m => m.Key))
        {
            if (!result.ContainsKey(key)) throw Invalid($"Parameter '{OptionPath.FullName(path, key)}' is unexpected");
        }

        return result;
    }

    private void CheckMembers(IReadOnlyList<OptionMember> members, JsonObject given, JsonObject result, OptionPath? path)
    {
        foreach (OptionMember member in members)
        {
            if (given.TryGetPropertyValue(member.Name, out JsonNode? value))
            {
                result[member.Name] = CheckValue(member.Type, value, new OptionPath(path, member.Name));
            }
            else if (!member.IsOptional)
            {
                throw Invalid($"Parameter '{OptionPath.FullName(path, member.Name)}' is missing");
            }
        }
    }

    private JsonNode? CheckValue(OptionType type, JsonNode? value, OptionPath path) => type switch
    {
        BuiltinType builtin => CheckBuiltin(builtin, value, path),
        EnumType words => CheckEnum(words, value, path),
        ArrayType list => CheckList(list, value, path),
        AlternateType alternate => CheckAlternate(alternate, value, path),
        ObjectType members => CheckObject(members, value, path),
        _ => throw new InvalidOperationException($"Option type {type.GetType().Name} is not known to the checker."),
    };

    private JsonArray CheckList(ArrayType type, JsonNode? value, OptionPath path)
    {
        if (value is not JsonArray given) throw WrongType(path, "array");
        var result = new JsonArray();
        for (int i = 0; i < given.Count; i++) result.Add(CheckValue(type.Element, given[i], new OptionPath(path, i, _style)));
        return result;
    }

    private static JsonValue CheckEnum(EnumType type, JsonNode? value, OptionPath path)
    {
        string word = TextOf(value) ?? throw WrongType(path, "string");
        return type.Values.Contains(word, StringComparer.Ordinal)
            ? JsonValue.Create(word)
            : throw Invalid($"Parameter '{path.Name}' does not accept value '{word}'");
    }

    private JsonNode? CheckAlternate(AlternateType type, JsonNode? value, OptionPath path)
    {
        foreach ((_, OptionType choice) in type.AllChoices)
        {
            if (Accepts(choice, value)) return CheckValue(choice, value, path);
        }

        throw Invalid($"Invalid parameter type for '{path.Name}', expected: {type.Name}");
    }

    /// <summary>Whether a choice of an alternate takes values of this JSON type; in option strings text may stand for any scalar.</summary>
    private bool Accepts(OptionType choice, JsonNode? value)
    {
        JsonValueKind kind = value?.GetValueKind() ?? JsonValueKind.Null;
        return choice switch
        {
            ObjectType => kind == JsonValueKind.Object,
            ArrayType => kind == JsonValueKind.Array,
            EnumType => kind == JsonValueKind.String,
            BuiltinType { JsonType: "null" } => kind == JsonValueKind.Null,
            BuiltinType { JsonType: "string" } => kind == JsonValueKind.String,
            BuiltinType { JsonType: "value" } => true,
            BuiltinType { JsonType: "boolean" } => kind is JsonValueKind.True or JsonValueKind.False
                || (_style == OptionStyle.Keyval && kind == JsonValueKind.String),
            _ => kind == JsonValueKind.Number || (_style == OptionStyle.Keyval && kind == JsonValueKind.String),
        };
    }

    private JsonNode? CheckBuiltin(BuiltinType type, JsonNode? value, OptionPath path) => type.JsonType switch
    {
        "string" => JsonValue.Create(TextOf(value) ?? throw WrongType(path, "string")),
        "boolean" => JsonValue.Create(CheckBool(value, path)),
        "int" => CheckInteger(type, value, path),
        "number" => CheckNumber(value, path),
        "null" => value is null ? null : throw WrongType(path, "null"),
        _ => value?.DeepClone(),
    };

    private bool CheckBool(JsonNode? value, OptionPath path)
    {
        if (_style == OptionStyle.Json)
        {
            return value?.GetValueKind() is JsonValueKind.True or JsonValueKind.False ? value.GetValue<bool>() : throw WrongType(path, "boolean");
        }

        return TryParseBool(TextOf(value) ?? throw WrongType(path, "string"))
            ?? throw Invalid($"Parameter '{path}' expects 'on' or 'off'");
    }

    /// <summary>The words for true and false that option strings accept; null for any other.</summary>
    public static bool? TryParseBool(string text) => text switch
    {
        "on" or "yes" or "true" or "y" => true,
        "off" or "no" or "false" or "n" => false,
        _ => null,
    };

    private JsonValue CheckInteger(BuiltinType type, JsonNode? value, OptionPath path)
    {
        Int128 number;
        if (_style == OptionStyle.Json)
        {
            if (!TryGetInteger(value, out number)) throw WrongType(path, "integer");
        }
        else
        {
            string text = TextOf(value) ?? throw WrongType(path, "string");
            if (ReferenceEquals(type, OptionType.Size))
            {
                if (SizeText.TryParse(text, out ulong size) != SizeParse.Ok) throw Invalid($"Parameter '{path}' expects a size value");
                number = size;
            }
            else if (!TryParseInteger(text, out number))
            {
                throw Invalid($"Parameter '{path}' expects integer");
            }
        }

        return InRange(type, number, path);
    }

    private JsonValue InRange(BuiltinType type, Int128 number, OptionPath path)
    {
        switch (type.Name)
        {
            case "int":
                if (number > long.MaxValue || number < long.MinValue) throw _style == OptionStyle.Json ? WrongType(path, "integer") : Invalid($"Parameter '{path}' expects integer");
                return JsonValue.Create((long)number);
            case "uint64" or "size":
                if (number > ulong.MaxValue || number < long.MinValue) throw _style == OptionStyle.Json ? WrongType(path, "integer") : Invalid($"Parameter '{path}' expects integer");
                ulong wide = number < 0 ? (ulong)(long)number : (ulong)number;   // negative numbers wrap, as they always have there
                return wide <= long.MaxValue ? JsonValue.Create((long)wide) : JsonValue.Create(wide);
            default:
                (long least, long most) = type.Name switch
                {
                    "int32" => (int.MinValue, (long)int.MaxValue),
                    "uint8" => (0, byte.MaxValue),
                    "uint16" => (0, ushort.MaxValue),
                    "uint32" => (0, uint.MaxValue),
                    _ => throw new InvalidOperationException($"Integer type {type.Name} is not known to the checker."),
                };
                return number >= least && number <= most ? JsonValue.Create((long)number) : throw Invalid($"Parameter '{path.Name}' expects {type.Name}_t");
        }
    }

    private JsonValue CheckNumber(JsonNode? value, OptionPath path)
    {
        if (_style == OptionStyle.Json)
        {
            return value?.GetValueKind() == JsonValueKind.Number ? (JsonValue)value.DeepClone() : throw WrongType(path, "number");
        }

        string text = TextOf(value) ?? throw WrongType(path, "string");
        return double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number)
            ? JsonValue.Create(number)
            : throw Invalid($"Parameter '{path}' expects number");
    }

    /// <summary>A string's text; null for everything else.</summary>
    public static string? TextOf(JsonNode? value)
        => value is JsonValue scalar && scalar.GetValueKind() == JsonValueKind.String ? scalar.GetValue<string>() : null;

    /// <summary>A JSON integer's value, however the node stores it; false for fractions, exponents and non-numbers.</summary>
    public static bool TryGetInteger(JsonNode? value, out Int128 number)
    {
        number = 0;
        if (value is not JsonValue scalar || scalar.GetValueKind() != JsonValueKind.Number) return false;
        if (scalar.TryGetValue(out long signed)) number = signed;
        else if (scalar.TryGetValue(out ulong unsigned)) number = unsigned;
        else if (scalar.TryGetValue(out int small)) number = small;
        else if (scalar.TryGetValue(out uint smallUnsigned)) number = smallUnsigned;
        else return false;
        return true;
    }

    /// <summary>A whole decimal or hexadecimal number in text.</summary>
    private static bool TryParseInteger(string text, out Int128 number)
    {
        ReadOnlySpan<char> digits = text.AsSpan().TrimStart();
        bool isNegative = digits.StartsWith("-");
        if (isNegative || digits.StartsWith("+")) digits = digits[1..];
        bool isHexadecimal = digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        if (isHexadecimal) digits = digits[2..];
        NumberStyles style = isHexadecimal ? NumberStyles.AllowHexSpecifier : NumberStyles.None;
        if (!UInt128.TryParse(digits, style, CultureInfo.InvariantCulture, out UInt128 magnitude) || magnitude > ulong.MaxValue)
        {
            number = 0;
            return false;
        }

        number = isNegative ? -(Int128)magnitude : (Int128)magnitude;
        return true;
    }

    private static BlockException WrongType(OptionPath? path, string expected)
        => Invalid($"Invalid parameter type for '{path?.ToString() ?? "null"}', expected: {expected}");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
