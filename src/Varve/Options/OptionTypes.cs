namespace Varve.Options;

/// <summary>The type of an option or of a QMP argument or result, in QAPI's terms.</summary>
/// <remarks>
/// One declaration serves the parser of JSON and of command lines, the error texts, and <c>query-qmp-schema</c>.
/// Named types are singletons: declare each once, as a static field, and refer to it.
/// </remarks>
internal abstract record OptionType
{
    public static readonly BuiltinType Str = new("str", "string"), Bool = new("bool", "boolean"), Number = new("number", "number"),
        Int = new("int", "int"), Int32 = new("int32", "int"), UInt8 = new("uint8", "int"), UInt16 = new("uint16", "int"),
        UInt32 = new("uint32", "int"), UInt64 = new("uint64", "int"), Size = new("size", "int"), Any = new("any", "value"),
        Null = new("null", "null");

    /// <summary>An array of this type.</summary>
    public ArrayType List => field ??= new ArrayType(this);
}

/// <summary>A built-in type: its QAPI name, and the JSON type introspection reports for it.</summary>
internal sealed record BuiltinType(string Name, string JsonType) : OptionType;

/// <summary>One of a closed set of strings.</summary>
internal sealed record EnumType(string Name, IReadOnlyList<string> Values) : OptionType;

/// <summary>A list.</summary>
internal sealed record ArrayType(OptionType Element) : OptionType;

/// <summary>An object: its members, and with a tag more members by the tag's value.</summary>
/// <param name="Name">QAPI's name.</param>
/// <param name="Members">The members it always has.</param>
/// <param name="Tag">The member whose value selects the variant; null without variants.</param>
/// <param name="Variants">More members for each value of the tag; a value without an entry has none.</param>
internal sealed record ObjectType(
    string Name, IReadOnlyList<OptionMember> Members, string? Tag = null, IReadOnlyDictionary<string, ObjectType>? Variants = null) : OptionType
{
    /// <summary>Made late where types refer to each other in a circle (BlockdevOptions and BlockdevRef).</summary>
    public Func<IReadOnlyDictionary<string, ObjectType>>? LateVariants { get; init; }

    /// <summary>A variant whose members lie in a member <c>data</c> of their own.</summary>
    public ObjectType InData => field ??= new ObjectType(Name + "Wrapper", [OptionMember.Required("data", this)]);

    /// <summary><see cref="Variants"/>, or what <see cref="LateVariants"/> makes, once.</summary>
    public IReadOnlyDictionary<string, ObjectType>? AllVariants => field ??= Variants ?? LateVariants?.Invoke();
}

/// <summary>One of several types, told apart by the JSON type of the value.</summary>
internal sealed record AlternateType(string Name, IReadOnlyList<(string Name, OptionType Type)> Choices) : OptionType
{
    /// <summary>Made late where types refer to each other in a circle.</summary>
    public Func<IReadOnlyList<(string Name, OptionType Type)>>? LateChoices { get; init; }

    /// <summary><see cref="Choices"/>, or what <see cref="LateChoices"/> makes, once.</summary>
    public IReadOnlyList<(string Name, OptionType Type)> AllChoices => field ??= LateChoices?.Invoke() ?? Choices;
}

/// <summary>A member of an object.</summary>
/// <param name="Name">As on the wire.</param>
/// <param name="Type">Its type.</param>
/// <param name="IsOptional">Whether it may be left out.</param>
internal sealed record OptionMember(string Name, OptionType Type, bool IsOptional)
{
    /// <summary><c>deprecated</c>, <c>unstable</c>: shown by introspection.</summary>
    public IReadOnlyList<string> Features { get; init; } = [];

    public static OptionMember Required(string name, OptionType type) => new(name, type, IsOptional: false);

    public static OptionMember Optional(string name, OptionType type) => new(name, type, IsOptional: true);
}
