using Varve.Options;

namespace Varve.Graph;

/// <summary>How a command line names a snapshot to open: by id, by name, by both, or by one string that is an id or else a name.</summary>
internal sealed record SnapshotSelector(string? Id, string? Name, string? IdOrName)
{
    private const string IdKey = "snapshot.id", NameKey = "snapshot.name";

    /// <summary>Reads the argument of <c>-l</c>: <c>snapshot.id=ID,snapshot.name=NAME</c>, or an id or name.</summary>
    /// <exception cref="BlockException">An unknown key: <c>Invalid parameter '...'</c>.</exception>
    public static SnapshotSelector Parse(string text)
    {
        if (!text.StartsWith("snapshot.", StringComparison.Ordinal)) return new SnapshotSelector(null, null, text);
        string? id = null, name = null;
        foreach ((string key, string value) in OptionString.ParsePairs(text))
        {
            switch (key)
            {
                case IdKey: id = value; break;
                case NameKey: name = value; break;
                default: throw new BlockException(BlockErrorKind.Invalid, $"Invalid parameter '{key}'");
            }
        }

        return new SnapshotSelector(id, name, null);
    }

    /// <summary>The snapshot meant, or null.</summary>
    public InternalSnapshot? FindIn(IReadOnlyList<InternalSnapshot> snapshots)
        => IdOrName is not null
            ? snapshots.FirstOrDefault(s => s.Id == IdOrName) ?? snapshots.FirstOrDefault(s => s.Name == IdOrName)
            : snapshots.FirstOrDefault(s => (Id is null || s.Id == Id) && (Name is null || s.Name == Name));
}
