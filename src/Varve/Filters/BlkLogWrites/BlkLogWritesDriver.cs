using System.Globalization;
using System.Numerics;
using Varve.Graph;
using Varve.Options;

namespace Varve.Filters.BlkLogWrites;

/// <summary><c>blklogwrites</c>: every change of the filtered node also goes to a log, from which it can be replayed write by write.</summary>
internal sealed class BlkLogWritesDriver : BlockDriver
{
    private const string SectorSize = "log-sector-size", Append = "log-append", UpdateInterval = "log-super-update-interval";

    public override string Name => "blklogwrites";

    public override bool IsFilter => true;

    public override IReadOnlyList<OptionMember> Options { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Required("log", BlockdevSchema.Ref),
        OptionMember.Optional(SectorSize, OptionType.UInt32),
        OptionMember.Optional(Append, OptionType.Bool),
        OptionMember.Optional(UpdateInterval, OptionType.UInt64),
    ];

    public override async ValueTask<BlockNode> OpenAsync(NodeOpening opening, CancellationToken cancellationToken)
    {
        var node = new BlkLogWritesNode(opening);
        await opening.OpenRequiredChildAsync(node, "file", ChildRole.Filtered | ChildRole.Primary, cancellationToken).ConfigureAwait(false);
        BlockChild log = await opening.OpenRequiredChildAsync(node, "log", ChildRole.Metadata, cancellationToken).ConfigureAwait(false);
        long sectorSize = opening.TakeSize(SectorSize) ?? Align.SectorSize;
        bool append = opening.TakeBool(Append) ?? false;
        long interval = opening.TakeSize(UpdateInterval) ?? 4096;
        if (sectorSize is < 512 or >= 1 << 23 || !BitOperations.IsPow2(sectorSize)) throw Invalid("log sector size", sectorSize);
        if (interval < 1) throw Invalid("log superblock update interval", interval);
        node.UseLog(append
            ? await WriteLog.ContinueAsync(log, (int)sectorSize, interval, cancellationToken).ConfigureAwait(false)
            : new WriteLog(log, (int)sectorSize, interval, entryCount: 0, nextSector: 1));
        return node;
    }

    private static BlockException Invalid(string what, long value)
        => new(BlockErrorKind.Invalid, string.Create(CultureInfo.InvariantCulture, $"Invalid {what} {value}"));
}
