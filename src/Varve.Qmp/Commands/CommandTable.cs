namespace Varve.Qmp.Commands;

/// <summary>Every command, by name. Listed in code: nothing is discovered, so nothing is trimmed away.</summary>
internal static class CommandTable
{
    public static IReadOnlyList<QmpCommand> All { get; } =
    [
        new QmpCapabilities(), new QueryVersion(), new QueryCommands(), new QueryQmpSchema(), new Quit(),
    ];

    private static readonly Dictionary<string, QmpCommand> s_byName = All.ToDictionary(c => c.Name, StringComparer.Ordinal);

    public static QmpCommand? Find(string name) => s_byName.GetValueOrDefault(name);
}
