using Varve;

// Opens each image named on the command line as qcow2, following nothing it names, reads what can be read, and says how it ended.
byte[] buffer = new byte[64 << 10];
foreach (string path in args)
{
    await using var layer = new BlockLayer();
    try
    {
        await using VirtualDisk disk = await layer.OpenAsync(path, new DiskOpening { Format = "qcow2", References = ReferencePolicy.Nothing });
        for (long offset = 0; offset < Math.Min(disk.Length, 1 << 20); offset += buffer.Length)
        {
            await disk.ReadAsync(offset, buffer.AsMemory(0, (int)Math.Min(buffer.Length, disk.Length - offset)));
        }

        Console.WriteLine($"{path}: opened");
    }
    catch (BlockException e)
    {
        Console.WriteLine($"{path}: {e.Kind}");
    }
}
