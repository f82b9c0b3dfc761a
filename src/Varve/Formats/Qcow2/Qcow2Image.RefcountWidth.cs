using System.Buffers.Binary;
using System.Numerics;
using Varve.Formats.Qcow2.Metadata;
using Varve.Graph;

namespace Varve.Formats.Qcow2;

// Another refcount width: what a power loss may leave
//   New blocks and a new table are written behind everything that is counted, with the counts of the old ones and of themselves, and made
//   durable; then one sector of the header names the new table and width; then the old structure is given up. Before the header changes
//   the image is the old one, with bytes behind its end that nothing leads to; after it, the old structure leaks at worst.

/// <content>Changing how wide refcounts are.</content>
internal sealed partial class Qcow2Image
{
    private const int UsualWalks = 3;

    /// <summary>A new refcount structure: for each block, by what it counts, where it lies; and the table.</summary>
    private sealed record NewRefcounts(int Order, SortedDictionary<long, long> Blocks, long FirstCluster, long TableCluster, int TableClusters, int Walks)
    {
        public long EndCluster => TableCluster + TableClusters;
    }

    private async ValueTask ChangeRefcountWidthAsync(int bits, AmendProgress progress, CancellationToken cancellationToken)
    {
        await SettleTablesAsync(cancellationToken).ConfigureAwait(false);
        long oldTable = _header.RefcountTable.Value;
        RefcountFile old = await RefcountFile.ReadAsync(_file.Node, _header, cancellationToken).ConfigureAwait(false);
        NewRefcounts plan = await PlanRefcountsAsync(old, BitOperations.Log2((uint)bits), progress, cancellationToken).ConfigureAwait(false);
        await WriteRefcountsAsync(old, plan, progress, cancellationToken).ConfigureAwait(false);
        await UpdateHeaderAsync(
            h => h with { RefcountTable = new(plan.TableCluster << h.ClusterBits), RefcountTableClusters = plan.TableClusters, RefcountOrder = plan.Order },
            CancellationToken.None).ConfigureAwait(false);
        await GiveUpRefcountsAsync(old, oldTable).ConfigureAwait(false);
    }

    /// <summary>Finds which blocks are needed, refuses counts that do not fit, and places everything behind what is counted.</summary>
    private async ValueTask<NewRefcounts> PlanRefcountsAsync(RefcountFile old, int order, AmendProgress progress, CancellationToken cancellationToken)
    {
        int blockBits = RefcountBlock.EntryBits(_header.ClusterBits, order);
        ulong max = RefcountBlock.MaxRefcount(order);
        var needed = new SortedSet<long>();
        long last = 0;
        int walk = 1, walks = UsualWalks;   // as the reference counts them: one to find, one to see that all is found, one to write
        for (int i = 0; i < old.Table.Count; i++)
        {
            if (old.Table[i].IsAllocated)
            {
                for (long cluster = (long)i << old.BlockBits; cluster < (i + 1L) << old.BlockBits; cluster++)
                {
                    ulong refcount = await old.GetAsync(cluster, cancellationToken).ConfigureAwait(false);
                    if (refcount == 0) continue;
                    if (refcount > max)
                    {
                        throw Invalid($"Cannot decrease refcount entry width to {1 << order} bits: Cluster at offset {Hex(cluster << _header.ClusterBits)} "
                            + $"has a refcount of {refcount}");
                    }

                    last = cluster;
                    needed.Add(cluster >> blockBits);
                }
            }

            progress.Report(i + 1, (long)walks * old.Table.Count);
        }

        long first = Math.Max(last + 1, Align.Count(_file.Node.Length, ClusterSize));
        while (true)
        {
            int tableClusters = (int)Align.Count((needed.Max + 1) * 8, ClusterSize);
            if ((long)tableClusters * ClusterSize > Qcow2Header.MaxRefcountTableBytes)
            {
                throw new BlockException(
                    BlockErrorKind.TooLarge,
                    "This operation would make the refcount table grow beyond the maximum size supported by QEMU, aborting") { NodeName = NodeName };
            }

            long end = first + needed.Count + tableClusters;
            int before = needed.Count;
            for (long block = first >> blockBits; block <= (end - 1) >> blockBits; block++) needed.Add(block);
            progress.Report(++walk, walks);
            if (needed.Count > before)
            {
                progress.Report(walk, ++walks);
                continue;
            }

            var blocks = new SortedDictionary<long, long>();
            foreach (long index in needed) blocks[index] = first + blocks.Count;
            return new NewRefcounts(order, blocks, first, first + blocks.Count, tableClusters, walks);
        }
    }

    private async ValueTask WriteRefcountsAsync(RefcountFile old, NewRefcounts plan, AmendProgress progress, CancellationToken cancellationToken)
    {
        byte[] block = new byte[ClusterSize], table = new byte[(long)plan.TableClusters * ClusterSize];
        long done = 0;
        foreach ((long index, long cluster) in plan.Blocks)
        {
            block.AsSpan().Clear();
            int count = 1 << RefcountBlock.EntryBits(_header.ClusterBits, plan.Order);
            for (int i = 0; i < count; i++)
            {
                long counted = index * count + i;
                ulong refcount = counted >= plan.FirstCluster && counted < plan.EndCluster
                    ? 1
                    : await old.GetAsync(counted, cancellationToken).ConfigureAwait(false);
                if (refcount > 0) SetRefcount(block, plan.Order, i, refcount);
            }

            BinaryPrimitives.WriteInt64BigEndian(table.AsSpan((int)(index * 8)), cluster << _header.ClusterBits);
            await _file.Node.WriteAsync(cluster << _header.ClusterBits, block, WriteFlags.None, cancellationToken).ConfigureAwait(false);
            progress.Report((plan.Walks - 1L) * plan.Blocks.Count + ++done, (long)plan.Walks * plan.Blocks.Count);
        }

        await _file.Node.WriteAsync(plan.TableCluster << _header.ClusterBits, table, WriteFlags.None, cancellationToken).ConfigureAwait(false);
        await _file.Node.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static void SetRefcount(byte[] block, int order, int index, ulong refcount)
    {
        var counts = new RefcountBlock(block, order);
        counts[index] = refcount;
    }

    private async ValueTask GiveUpRefcountsAsync(RefcountFile old, long table)
    {
        int tableBytes = old.Table.Count * 8;
        await ReadChangedTablesAsync().ConfigureAwait(false);
        using (await _allocator.Mutex.EnterAsync().ConfigureAwait(false))
        {
            foreach (RefcountTableEntry entry in old.Table.Where(e => e.IsAllocated))
            {
                await _allocator.ReleaseAsync(new LostReference(entry.Block.Value, ClusterSize, DiscardReason.Other), CancellationToken.None).ConfigureAwait(false);
            }

            await _allocator.ReleaseAsync(new LostReference(table, tableBytes, DiscardReason.Other), CancellationToken.None).ConfigureAwait(false);
        }

        await SettleTablesAsync(CancellationToken.None).ConfigureAwait(false);
    }
}
