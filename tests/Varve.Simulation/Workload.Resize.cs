using Varve.Formats.Qcow2;
using Varve.Graph;

namespace Varve.Simulation;

/// <content>The disk gets longer than the guest needs it, is written there, and gets as long again: what comes back reads as zeros.</content>
internal sealed partial class Workload
{
    private async ValueTask ResizeAsync()
    {
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        Qcow2Image top = machine.Top;
        bool grows = top.Length <= model.Length;
        if (!grows && random.Next(2) == 0) await WriteTailAsync(top);
        using DrainedSection drained = await BlockGraph.DrainAsync(top);
        long length = grows ? model.Length + random.NextInt64(1, 2 * model.Length / GuestModel.SectorBytes) * GuestModel.SectorBytes : model.Length;
        PreallocationMode mode = grows ? (PreallocationMode)random.Next(4) : PreallocationMode.Off;
        machine.Disk.IgnoresFlushes = machine.Scenario.Canary == Canary.Resize;
        if (grows) expected.HasTail = machine.Scenario.IsEncrypted && mode != PreallocationMode.Off;      // zeros that were never encrypted
        try
        {
            await top.ResizeAsync(length, mode, default);
        }
        catch (BlockException e) when (e.Kind is BlockErrorKind.Unsupported or BlockErrorKind.InUse)
        {
            // Version 2 with snapshots inside, or bitmaps that cannot follow.
        }
        finally
        {
            machine.Disk.IgnoresFlushes = false;
        }
    }

    private async ValueTask WriteTailAsync(Qcow2Image top)
    {
        long sectors = (top.Length - model.Length) / GuestModel.SectorBytes, first = random.NextInt64(sectors);
        byte[] garbage = new byte[random.NextInt64(1, sectors - first + 1) * GuestModel.SectorBytes];
        random.NextBytes(garbage);
        expected.HasTail = true;
        await machine.Guest.WriteAsync(model.Length + first * GuestModel.SectorBytes, garbage);
    }
}
