using System.Text;
using Varve.Options;
using Varve.Objects;

namespace Varve.Cli.CommandLine;

/// <summary>What <c>--object help</c> and <c>--object TYPE,help</c> print.</summary>
internal static class ObjectHelp
{
    /// <summary>The help an argument of <c>--object</c> asks for; null when it describes an object.</summary>
    public static string? Find(string text)
    {
        if (text.StartsWith('{') || !OptionList.AsksForHelp(text)) return null;
        string type = text.Split(',')[0];
        IReadOnlyDictionary<string, ObjectType> types = ObjectOptions.Type.AllVariants!;
        var help = new StringBuilder();
        if (types.TryGetValue(type, out ObjectType? properties))
        {
            help.Append(type).Append(" options:\n");
            foreach (OptionMember member in properties.Members.OrderBy(m => m.Name, StringComparer.Ordinal))
            {
                help.Append("  ").Append(member.Name).Append("=<").Append(NameOf(member.Type)).Append(">\n");
            }
        }
        else
        {
            help.Append("List of user creatable objects:\n");
            foreach (string name in types.Keys.Order(StringComparer.Ordinal)) help.Append("  ").Append(name).Append('\n');
        }

        return help.ToString();
    }

    private static string NameOf(OptionType type) => type switch
    {
        BuiltinType { Name: "str" } => "string",
        BuiltinType builtin => builtin.Name,
        EnumType words => words.Name,
        ObjectType members => members.Name,
        _ => "value",
    };
}
