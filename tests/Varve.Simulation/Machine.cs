using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Jobs;

namespace Varve.Simulation;

/// <summary>A running program on a <see cref="CrashDisk"/>: a graph whose top image the guest uses.</summary>
internal sealed class Machine
{
    private Machine(CrashDisk disk, Scenario scenario)
    {
        Disk = disk;
        Scenario = scenario;
        Time = scenario.IsEncrypted ? new SteppingTime() : new FrozenTime();
        Graph = new BlockGraph(new BlockDrivers([.. BlockDrivers.Default.All.Where(d => d.Name is "qcow2" or "copy-on-read"), new CrashDriver(disk)]), Time) { CopyThreads = null };
        Jobs = new JobRegistry(Graph);
        for (int i = 0; scenario.IsEncrypted && i < KeyModel.Count; i++)
        {
            Graph.Objects.Add(new JsonObject { ["qom-type"] = "secret", ["id"] = $"k{i}", ["data"] = $"passphrase {i}" });
        }
    }

    public CrashDisk Disk { get; }

    public Scenario Scenario { get; }

    public FrozenTime Time { get; }

    public BlockGraph Graph { get; }

    public JobRegistry Jobs { get; }

    public BlockBackend Guest { get; private set; } = null!;

    /// <summary>The image the guest's writes go to.</summary>
    public Qcow2Image Top => (Qcow2Image)Guest.Node.SkipFilters();

    /// <summary>The file of <see cref="Top"/>.</summary>
    public string TopFile => FileOf(Top);

    /// <summary>The images of the chain, top first.</summary>
    public IEnumerable<Qcow2Image> Chain
    {
        get
        {
            for (BlockNode? node = Guest.Node.SkipFilters(); node is Qcow2Image image; node = node.BackingChild?.Node.SkipFilters()) yield return image;
        }
    }

    public static string FileOf(Qcow2Image image) => ((CrashNode)image.File.Node).Name;

    /// <summary>Creates an image.</summary>
    public ValueTask CreateAsync(string file, string? backing)
    {
        Disk.Files[file] = new CrashFile([]);
        if (Scenario.HasDataFile) Disk.Files[Scenario.DataFileOf(file)] = new CrashFile([]);
        return Graph.Drivers.Find("qcow2")!.CreateAsync(Graph, Scenario.CreateOptions(file, backing), CancellationToken.None);
    }

    /// <summary>Makes the first image on a new disk.</summary>
    public static async ValueTask<Machine> InstallAsync(Scenario scenario)
    {
        var disk = new CrashDisk(scenario.Seed, new DiskBehaviour { IsInstant = true });
        await new Machine(disk, scenario).CreateAsync("0", backing: null);
        return await StartAsync(disk, scenario);
    }

    /// <summary>Opens the chain below <paramref name="top"/> by the names its headers record.</summary>
    public static async ValueTask<Machine> StartAsync(CrashDisk disk, Scenario scenario, string top = "0", string key = KeyModel.First)
    {
        var machine = new Machine(disk, scenario);
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        BlockNode node = await machine.OpenAsync(scenario.OpenOptions(top, withBacking: true, key));
        machine.Guest = await machine.Graph.OpenBackendAsync(
            node, BlockPermissions.ConsistentRead | BlockPermissions.Write, BlockPermissions.All, "the guest");
        await machine.Graph.ReleaseAsync(node);
        foreach (Qcow2Image image in machine.Chain)
        {
            if (scenario.DefersRefcountBlocks) image.Allocator.MaxFlushedWithBlock = 0;
        }

        return machine;
    }

    /// <summary>Opens one image without what is below it, to check it or to look at its keys.</summary>
    public static async ValueTask<(Machine Machine, Qcow2Image Image)> OpenForCheckAsync(CrashDisk disk, Scenario scenario, string file, string key, bool readOnly)
    {
        var machine = new Machine(disk, scenario);
        JsonObject options = scenario.OpenOptions(file, withBacking: false, key);
        options["read-only"] = readOnly;
        using IDisposable held = await machine.Graph.ControlLock.EnterAsync();
        return (machine, (Qcow2Image)await machine.OpenAsync(options, forCheck: true));
    }

    /// <summary>Opens a node; the caller releases it.</summary>
    public ValueTask<BlockNode> OpenAsync(JsonObject options, bool forCheck = false)
        => Graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything, ForCheck = forCheck });

    /// <summary>Ends the program; on a disk without power, without a word.</summary>
    /// <returns>Whether everything was written that has to be.</returns>
    public async ValueTask<bool> StopAsync()
    {
        try
        {
            List<Qcow2Image> images = [.. Graph.Nodes.OfType<Qcow2Image>()];
            if (Guest is { } guest)
            {
                using (await Graph.ControlLock.EnterAsync()) await guest.CloseAsync();
            }

            await Graph.DisposeAsync();
            return !Disk.IsOff && !images.Exists(i => i.IsUnusable);     // one that has become unusable stores nothing at its end
        }
        catch (BlockException) when (Disk.IsOff || Disk.Behaviour.FailuresPerThousand > 0)
        {
            return false;   // closing writes what is cached; without power it cannot
        }
    }
}
