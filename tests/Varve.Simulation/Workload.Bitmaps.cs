using Varve.Bitmaps;

namespace Varve.Simulation;

/// <content>Persistent bitmaps of the top.</content>
internal sealed partial class Workload
{
    private const int MaxBitmaps = 4;

    private List<BitmapModel> BitmapsOfTop => expected.Bitmaps.FindAll(b => b.File == machine.TopFile);

    /// <summary>Images whose bitmaps were stored, and which nobody writes to any more.</summary>
    /// <remarks>Nobody stores an inconsistent one: where its removal failed, it may be gone all the same, and closing does not bring it back.</remarks>
    public static void OnClosed(IEnumerable<BitmapModel> bitmaps)
    {
        foreach (BitmapModel bitmap in bitmaps)
        {
            bitmap.Turn();
            if (!bitmap.IsInconsistent) bitmap.IsSure = bitmap.IsClosed = true;
        }
    }

    /// <summary>A write begins: what records it is told now, and again by the returned action when it has succeeded.</summary>
    private Action RecordWrite(long offset, long length, int id)
    {
        (long first, long end) = (offset / GuestModel.SectorBytes, (offset + length) / GuestModel.SectorBytes);
        List<(BitmapModel Bitmap, int Version)> recording = BitmapsOfTop.FindAll(b => b is { IsEnabled: true, IsInconsistent: false }).ConvertAll(b => (b, b.Version));
        foreach ((BitmapModel bitmap, _) in recording) bitmap.Begin(first, end, id);
        return () =>
        {
            foreach ((BitmapModel bitmap, int version) in recording)
            {
                if (bitmap.Version == version) bitmap.Complete(first, end, id);
            }
        };
    }

    private async ValueTask ManageBitmapsAsync()
    {
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        List<BitmapModel> present = BitmapsOfTop.FindAll(b => machine.Top.Bitmaps.Find(b.Name) is not null);
        if (machine.Disk.IsOff) return;
        if (present.Count == 0 || (present.Count < MaxBitmaps && random.Next(3) == 0))
        {
            await AddBitmapAsync();
            return;
        }

        BitmapModel bitmap = present[random.Next(present.Count)];
        int choice = random.Next(6);
        if (choice == 0 || bitmap.IsInconsistent) await RemoveBitmapAsync(bitmap);
        else if (choice < 3) await ClearBitmapAsync(bitmap);
        else if (choice == 3) await EnableBitmapAsync(bitmap, true);
        else if (choice == 4) await EnableBitmapAsync(bitmap, false);
        else await MergeBitmapAsync(bitmap, present[random.Next(present.Count)]);
    }

    private async ValueTask AddBitmapAsync()
    {
        var bitmap = new BitmapModel(machine.TopFile, $"b{++_nextId}", (int)(model.Length / GuestModel.SectorBytes)) { IsEnabled = random.Next(4) > 0 };
        try
        {
            await BitmapOperations.AddAsync(machine.Top, bitmap.Name, 512L << random.Next(6), persistent: true, disabled: !bitmap.IsEnabled);
            expected.Bitmaps.Add(bitmap);
        }
        catch (BlockException e) when (e.Kind == BlockErrorKind.Invalid)
        {
            // An image of version 2, since it was amended.
        }
    }

    private async ValueTask RemoveBitmapAsync(BitmapModel bitmap)
    {
        bitmap.IsSure = false;
        await BitmapOperations.RemoveAsync(machine.Top, bitmap.Name);
        if (!machine.Disk.IsOff) expected.Bitmaps.Remove(bitmap);
    }

    private async ValueTask ClearBitmapAsync(BitmapModel bitmap)
    {
        bitmap.Turn();
        bitmap.Clear();
        await BitmapOperations.ClearAsync(machine.Top, bitmap.Name);
        bitmap.Turn();
    }

    private async ValueTask EnableBitmapAsync(BitmapModel bitmap, bool isEnabled)
    {
        bitmap.Turn();
        if (!isEnabled) bitmap.IsEnabled = false;
        if (isEnabled) await BitmapOperations.EnableAsync(machine.Top, bitmap.Name);
        else await BitmapOperations.DisableAsync(machine.Top, bitmap.Name);
        bitmap.IsEnabled = isEnabled;
        bitmap.Turn();
    }

    private async ValueTask MergeBitmapAsync(BitmapModel target, BitmapModel source)
    {
        if (source.IsInconsistent) return;      // refused
        await BitmapOperations.MergeAsync(machine.Top, target.Name, [new(machine.Top, source.Name)]);
        target.Merge(source);
    }
}
