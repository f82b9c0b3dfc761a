namespace Varve.Bitmaps;

/// <summary>The dirty bitmaps of one node. Changed on the control plane; requests read <see cref="Marked"/>.</summary>
internal sealed class NodeBitmaps
{
    private readonly List<DirtyBitmap> _all = [];
    private volatile DirtyBitmap[]? _marked;

    /// <summary>Those with a name, in the order they were made.</summary>
    public IEnumerable<DirtyBitmap> Named => _all.Where(b => b.Name is not null);

    /// <summary>Those of jobs too, which have no name.</summary>
    public IEnumerable<DirtyBitmap> All => _all;

    public bool Any => _all.Count > 0;

    /// <summary>What the node's writes are marked in; null where nothing is, which costs requests nothing.</summary>
    public DirtyBitmap[]? Marked => _marked;

    public DirtyBitmap? Find(string name) => _all.Find(b => b.Name == name);

    public void Add(DirtyBitmap bitmap)
    {
        _all.Add(bitmap);
        OnChanged();
    }

    public void Remove(DirtyBitmap bitmap)
    {
        _all.Remove(bitmap);
        OnChanged();
    }

    /// <summary>A bitmap was enabled or disabled.</summary>
    public void OnChanged()
    {
        DirtyBitmap[] marked = [.. _all.Where(b => b.IsEnabled && !b.IsInconsistent && !b.IsReadOnly)];
        _marked = marked.Length == 0 ? null : marked;
    }

    /// <summary>The node's length has changed.</summary>
    public void Resize(long length)
    {
        foreach (DirtyBitmap bitmap in _all) bitmap.Resize(length);
    }
}
