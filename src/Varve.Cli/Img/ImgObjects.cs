using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Cli.Img;

/// <summary>The objects a command line makes with <c>--object</c>, by id.</summary>
internal sealed class ImgObjects
{
    private static readonly string[] s_types = ["secret"];
    private readonly Dictionary<string, JsonObject> _objects = new(StringComparer.Ordinal);

    /// <summary>Makes one: <c>secret,id=sec0,data=...</c>, or JSON.</summary>
    /// <exception cref="BlockException">Malformed, of an unknown type, or the id is taken.</exception>
    public void Add(string text)
    {
        JsonObject options = text.StartsWith('{') ? (JsonObject)LenientJson.Parse(text)! : Keyval.Parse(text, "qom-type");
        string type = TextOf(options, "qom-type"), id = TextOf(options, "id");
        if (!s_types.Contains(type)) throw Invalid($"Parameter 'qom-type' does not accept value '{type}'");
        if (!_objects.TryAdd(id, options)) throw Invalid($"attempt to add duplicate property '{id}' to object (type 'container')");
    }

    private static string TextOf(JsonObject options, string name)
        => (string?)options[name] ?? throw Invalid($"Parameter '{name}' is missing");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
