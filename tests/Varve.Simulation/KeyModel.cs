namespace Varve.Simulation;

/// <summary>Which passphrases open an encrypted disk.</summary>
internal sealed class KeyModel
{
    /// <summary>The secret of a new image.</summary>
    public const string First = "k0";

    /// <summary>How many passphrases there are at most.</summary>
    public const int Count = 16;

    private readonly Dictionary<string, KeyState> _keys = new(StringComparer.Ordinal) { [First] = KeyState.Opens };

    public enum KeyState
    {
        /// <summary>It opens the disk, whatever happens.</summary>
        Opens,

        /// <summary>It is being added or erased.</summary>
        MayOpen,

        /// <summary>It was erased, durably.</summary>
        Gone,
    }

    /// <summary>The passphrases ever used, oldest first.</summary>
    public IEnumerable<KeyValuePair<string, KeyState>> All => _keys;

    /// <summary>Those that open the disk for certain.</summary>
    public List<string> Sure => [.. _keys.Where(k => k.Value == KeyState.Opens).Select(k => k.Key)];

    /// <summary>A passphrase nobody has used; null when all were.</summary>
    public string? Unused => _keys.Count < Count ? $"k{_keys.Count}" : null;

    public void Set(string key, KeyState state) => _keys[key] = state;

    public KeyModel Clone()
    {
        var clone = new KeyModel();
        foreach ((string key, KeyState state) in _keys) clone.Set(key, state);
        return clone;
    }

    /// <summary>What is wrong with the passphrases found to open the disk; null when nothing is.</summary>
    public string? Check(IReadOnlyCollection<string> found)
    {
        if (found.Count == 0) return "no passphrase opens the disk";
        foreach ((string key, KeyState state) in _keys)
        {
            if (state == KeyState.Opens && !found.Contains(key)) return $"passphrase {key} does not open the disk";
            if (state == KeyState.Gone && found.Contains(key)) return $"passphrase {key} opens the disk, although it was erased";
        }

        return null;
    }

    /// <summary>What was found is what there is.</summary>
    public KeyModel Settled(IReadOnlyCollection<string> found)
    {
        var settled = new KeyModel();
        foreach (string key in _keys.Keys) settled.Set(key, found.Contains(key) ? KeyState.Opens : KeyState.Gone);
        return settled;
    }
}
