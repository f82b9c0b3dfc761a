using Varve.Bitmaps;
using Varve.Graph;

namespace Varve.Nbd.Server;

/// <summary>A dirty bitmap that an export shows beside the data.</summary>
/// <param name="Name">The bitmap's.</param>
/// <param name="Node">Where it is; null: on the exported node, or the next below it that has one of that name.</param>
internal sealed record ExportedBitmap(string Name, BlockNode? Node = null)
{
    /// <summary>Finds the bitmaps and counts the export as their user.</summary>
    /// <exception cref="BlockException">One is not there, in use or void, or would change under a client that reads only.</exception>
    public static IReadOnlyList<DirtyBitmap> Take(IReadOnlyList<ExportedBitmap> wanted, BlockNode exported, bool isWritable)
    {
        var taken = new List<DirtyBitmap>();
        foreach (ExportedBitmap each in wanted)
        {
            (BlockNode node, DirtyBitmap bitmap) = each.FindFrom(exported);
            BitmapOperations.RequireReadable(node, bitmap);
            if (!isWritable && !node.IsReadOnly && bitmap.IsEnabled)
            {
                throw new BlockException(BlockErrorKind.Invalid, $"Enabled bitmap '{each.Name}' incompatible with readonly export");
            }

            taken.Add(bitmap);
        }

        foreach (DirtyBitmap bitmap in taken) bitmap.Users++;
        return taken;
    }

    /// <summary>The export does not use them any more.</summary>
    public static void Release(IReadOnlyList<DirtyBitmap> taken)
    {
        foreach (DirtyBitmap bitmap in taken) bitmap.Users--;
    }

    private (BlockNode Node, DirtyBitmap Bitmap) FindFrom(BlockNode exported)
    {
        if (Node is not null) return (Node, BitmapOperations.Find(Node, Name));
        for (BlockNode? node = exported; node is not null; node = node.ChainChild?.Node)
        {
            if (node.Bitmaps.Find(Name) is { } bitmap) return (node, bitmap);
        }

        throw new BlockException(BlockErrorKind.NotFound, $"Bitmap '{Name}' is not found");
    }
}
