using Varve.Bitmaps;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>Takes the persistent bitmaps of an image along when it is converted.</summary>
internal sealed class BitmapCopy
{
    private readonly ToolContext _context;
    private readonly BlockNode _source;

    private BitmapCopy(ToolContext context, BlockNode source)
    {
        _context = context;
        _source = source;
    }

    private IEnumerable<DirtyBitmap> Persistent => _source.Bitmaps.Named.Where(b => b.IsPersistent);

    private IEnumerable<DirtyBitmap> InconsistentOldestFirst => Persistent.Where(b => b.IsInconsistent).Reverse();

    /// <summary>Looks at the bitmaps of the source before anything is written.</summary>
    public static BitmapCopy From(ToolContext context, BlockBackend source, bool skipsBroken)
    {
        BlockNode node = source.Node.SkipFilters();
        if (!node.SupportsPersistentBitmaps) throw new ToolException("Source lacks bitmap support");
        var copy = new BitmapCopy(context, node);
        if (!skipsBroken && copy.InconsistentOldestFirst.FirstOrDefault() is { } broken)
        {
            throw new ToolException($"Cannot copy inconsistent bitmap '{broken.Name}'")
            {
                Hint = "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it",
            };
        }

        return copy;
    }

    /// <summary>Refuses a target that cannot store bitmaps.</summary>
    public static void RequireSupport(BlockBackend target)
    {
        BlockNode node = target.Node.SkipFilters();
        if (!node.SupportsPersistentBitmaps) throw new ToolException($"Format driver '{node.Driver.Name}' does not support bitmaps");
    }

    /// <summary>Makes the bitmaps in the target; they are stored when it is closed.</summary>
    public async ValueTask CopyToAsync(BlockBackend target, CancellationToken cancellationToken)
    {
        BlockNode node = target.Node.SkipFilters();
        using IDisposable held = await _context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        foreach (DirtyBitmap broken in InconsistentOldestFirst) _context.Console.Warn($"Skipping inconsistent bitmap '{broken.Name}'");
        foreach (DirtyBitmap bitmap in Persistent.Where(b => !b.IsInconsistent).ToList()) await CopyAsync(bitmap, node, cancellationToken).ConfigureAwait(false);
    }

    private async ValueTask CopyAsync(DirtyBitmap bitmap, BlockNode target, CancellationToken cancellationToken)
    {
        string name = bitmap.Name!;
        try
        {
            await BitmapOperations.AddAsync(target, name, bitmap.Granularity, persistent: true, disabled: !bitmap.IsEnabled, cancellationToken)
                .ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Failed to create bitmap {name}: ", e);
        }

        try
        {
            await BitmapOperations.MergeAsync(target, name, [new BitmapOperations.Source(_source, name)], cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Failed to populate bitmap {name}: ", e);
        }
    }
}
