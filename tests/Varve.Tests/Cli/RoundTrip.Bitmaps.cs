using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Graph;

namespace Varve.Tests.Cli;

/// <content>Persistent bitmaps: both sides store, change and load them; their bits are what was written.</content>
internal sealed partial class RoundTrip
{
    private readonly Dictionary<string, Bitmap> _bitmaps = new(StringComparer.Ordinal);

    /// <summary>A bitmap as it should be: a flag for each granule.</summary>
    private sealed class Bitmap(int granularity, int size)
    {
        public int Granularity => granularity;

        public bool IsEnabled { get; set; } = true;

        public bool[] Dirty { get; private set; } = new bool[(size + granularity - 1) / granularity];

        public void Resize(int length)
        {
            bool[] dirty = Dirty;
            Array.Resize(ref dirty, (length + granularity - 1) / granularity);
            Dirty = dirty;
        }

        public void Mark(int at, int length)
        {
            for (int i = at / granularity; i <= (at + length - 1) / granularity && i < Dirty.Length; i++) Dirty[i] = true;
        }
    }

    private void MarkBitmaps(int at, int length)
    {
        foreach (Bitmap bitmap in _bitmaps.Values.Where(b => b.IsEnabled)) bitmap.Mark(at, length);
    }

    private void GrowBitmaps()
    {
        foreach (Bitmap bitmap in _bitmaps.Values) bitmap.Resize(_disk.Length);
    }

    private async Task ChangeBitmapsAsync()
    {
        int choice = _random.Next(7);
        if (_bitmaps.Count == 0 || choice == 0)
        {
            string added = $"b{_files++}";
            var bitmap = new Bitmap(512 << _random.Next(8), _disk.Length);
            string[] disabled = _random.Next(4) == 0 ? ["--disable"] : [];
            bitmap.IsEnabled = disabled.Length == 0;
            await ToolAsync("img", ["bitmap", "--add", .. disabled, "-g", $"{bitmap.Granularity}", .. Image(), added]);
            _bitmaps[added] = bitmap;
            return;
        }

        string name = _bitmaps.Keys.ElementAt(_random.Next(_bitmaps.Count)), other = _bitmaps.Keys.ElementAt(_random.Next(_bitmaps.Count));
        Bitmap changed = _bitmaps[name];
        string[] change = choice switch { 1 => ["--remove"], 2 => ["--clear"], 3 => ["--enable"], 4 => ["--disable"], _ => ["--merge", other] };
        await ToolAsync("img", ["bitmap", .. change, .. Image(), name]);
        if (choice == 1) _bitmaps.Remove(name);
        else if (choice == 2) Array.Clear(changed.Dirty);
        else if (choice is 3 or 4) changed.IsEnabled = choice == 3;
        else Merge(changed, _bitmaps[other]);
    }

    private void Merge(Bitmap target, Bitmap source)
    {
        for (int i = 0; i < source.Dirty.Length; i++)
        {
            if (source.Dirty[i]) target.Mark(i * source.Granularity, Math.Min(source.Granularity, _disk.Length - i * source.Granularity));
        }
    }

    /// <summary>What is stored, as we load it; the reference loads and stores all of it whenever it writes.</summary>
    private async Task CheckBitmapsAsync()
    {
        if (_bitmaps.Count == 0) return;
        await using var graph = new BlockGraph();
        graph.Objects.Add(new JsonObject { ["qom-type"] = "secret", ["id"] = "s", ["data"] = "123456" });
        using IDisposable held = await graph.ControlLock.EnterAsync();
        JsonObject options = new()
        {
            ["driver"] = "qcow2", ["read-only"] = true, ["backing"] = null,
            ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = _folder[_name] },
        };
        if (IsEncrypted) options["encrypt"] = new JsonObject { ["key-secret"] = "s" };
        BlockNode node = await graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything });
        Assert.Equal(_bitmaps.Keys.Order(StringComparer.Ordinal), node.Bitmaps.Named.Select(b => b.Name!).Order(StringComparer.Ordinal));
        foreach ((string name, Bitmap expected) in _bitmaps)
        {
            DirtyBitmap found = BitmapOperations.Find(node, name);
            Assert.True(!found.IsInconsistent && found.IsEnabled == expected.IsEnabled && found.Granularity == expected.Granularity, name);
            for (int i = 0; i < expected.Dirty.Length; i++)
            {
                Assert.True(found.IsMarked((long)i * expected.Granularity) == expected.Dirty[i], $"bitmap {name}, granule {i}: {expected.Dirty[i]} expected");
            }
        }

        await graph.ReleaseAsync(node);
    }
}
