using System.Globalization;

namespace Varve.Options;

/// <summary>The way to a value inside nested options; made into text only for an error.</summary>
internal sealed class OptionPath
{
    private readonly OptionPath? _parent;
    private readonly string _step;

    /// <summary>A member of an object.</summary>
    public OptionPath(OptionPath? parent, string name)
    {
        _parent = parent;
        Name = name;
        _step = parent is null ? name : "." + name;
    }

    /// <summary>An element of a list: <c>list[0]</c> in JSON, <c>list.0</c> in option strings.</summary>
    public OptionPath(OptionPath parent, int index, OptionStyle style)
    {
        _parent = parent;
        Name = "null";
        string number = index.ToString(CultureInfo.InvariantCulture);
        _step = style == OptionStyle.Json ? $"[{number}]" : "." + number;
    }

    /// <summary>The last step alone, as errors about enumerations and alternates give it; elements of lists have none.</summary>
    public string Name { get; }

    /// <summary>The path of a member below <paramref name="path"/>.</summary>
    public static string FullName(OptionPath? path, string name) => path is null ? name : $"{path}.{name}";

    public override string ToString() => _parent is null ? _step : _parent + _step;
}
