using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Demo;

// The main job, before your eyes. Called by eng/demo, which has built the executable it is given.
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
string varve = Path.GetFullPath(args[0]);
string directory = Directory.CreateTempSubdirectory("varve-demo-").FullName;
try
{
    Console.WriteLine("A guest runs on the top of base <- mid <- top. The chain was opened by a relative name from another directory,");
    Console.WriteLine("so the process cannot know the right backing name for the header. The caller can: backing-file=base.qcow2.");
    Console.WriteLine();
    await ShortenChainAsync(Path.Combine(directory, "good"), failHeader: false);

    Console.WriteLine();
    Console.WriteLine("The same again, on a disk that has no space left when the header is written.");
    Console.WriteLine();
    await ShortenChainAsync(Path.Combine(directory, "full"), failHeader: true);
    return 0;
}
catch (Exception e) when (e is InvalidOperationException or IOException)
{
    Console.WriteLine();
    Console.Error.WriteLine($"demo: {e.Message}");
    return 1;
}
finally
{
    Directory.Delete(directory, recursive: true);
}

async Task ShortenChainAsync(string home, bool failHeader)
{
    string images = Path.Combine(home, "images");
    Directory.CreateDirectory(images);
    MakeChain(images);
    PrintHeaders("headers before:", images);
    byte[] headerBefore = Header(images);

    string file = failHeader
        ? "file.driver=blkdebug,file.image.driver=file,file.image.filename=images/top.qcow2,"
          + "file.inject-error.0.event=none,file.inject-error.0.iotype=write,file.inject-error.0.sector=0,file.inject-error.0.errno=28"
        : "file.driver=file,file.filename=images/top.qcow2";
    await using Daemon daemon = await Daemon.StartAsync(varve, home, $"driver=qcow2,node-name=top,{file}");
    string chainBefore = await daemon.RunningChainAsync();
    Console.WriteLine($"running chain:   {chainBefore}");

    using NbdDisk disk = NbdDisk.Connect(Path.Combine(home, "nbd.sock"), "disk");
    var guest = new VerifyingWriter(disk);
    var clock = Stopwatch.StartNew();
    await daemon.Qmp.ExecuteAsync("block-stream", new JsonObject
    {
        ["job-id"] = "shorten", ["device"] = "top", ["base"] = "base.qcow2", ["backing-file"] = "base.qcow2",
        ["speed"] = 64 << 20, ["auto-dismiss"] = false,
    });
    string? error = await WatchAsync(daemon);
    Console.WriteLine($"stream ended after {clock.Elapsed.TotalSeconds:F1} s: {error ?? "completed"}");

    await Task.Delay(300);   // the guest goes on for a while on what is there now
    guest.Stop();
    Console.WriteLine($"guest:           {guest.Writes} writes and {guest.Reads} reads verified, no error, no stall");
    string chainAfter = await daemon.RunningChainAsync();
    Console.WriteLine($"running chain:   {chainAfter}");
    string model = guest.ModelChecksum(), served = guest.DiskChecksum();
    disk.Dispose();
    await daemon.DisposeAsync();

    PrintHeaders("headers after:", images);
    string stored = StoredChecksum(images);
    Console.WriteLine($"sha256           guest's own copy   {model}");
    Console.WriteLine($"                 through NBD        {served}");
    Console.WriteLine($"                 reopened from disk {stored}");
    Require(model == served && model == stored, "the checksums differ");
    Require((error is not null) == failHeader, "the job did not end as it should");
    if (failHeader)
    {
        Require(chainBefore == chainAfter, "the running chain changed although the job failed");
        Require(headerBefore.AsSpan().SequenceEqual(Header(images)), "the header changed although the job failed");
        Console.WriteLine("=> the job failed, the header and the running chain are as before, the guest noticed nothing");
    }
    else
    {
        Console.WriteLine("=> the chain is shorter, its header says what the caller said, and not one byte changed for the guest");
    }
}

async Task<string?> WatchAsync(Daemon daemon)
{
    while (true)
    {
        JsonNode job = ((JsonArray)(await daemon.Qmp.ExecuteAsync("query-block-jobs"))!)[0]!;
        long offset = (long)job["offset"]!, length = (long)job["len"]!;
        if (length > 0)
        {
            int done = (int)(40 * offset / length);
            Console.Write($"\rstreaming        [{new string('#', done)}{new string('.', 40 - done)}] {100.0 * offset / length,5:F1} %  {offset >> 20} of {length >> 20} MiB ");
        }

        if ((string?)job["status"] == "concluded")
        {
            Console.WriteLine();
            await daemon.Qmp.ExecuteAsync("job-dismiss", new JsonObject { ["id"] = "shorten" });
            return (string?)job["error"];
        }

        await Task.Delay(50);
    }
}

void MakeChain(string images)
{
    const int size = 96 << 20;
    byte[] noise = new byte[size];
    new Random(7).NextBytes(noise);
    noise.AsSpan(size / 2).Clear();
    File.WriteAllBytes(Path.Combine(images, "noise.raw"), noise);
    Varve(images, "img", "convert", "-f", "raw", "-O", "qcow2", "noise.raw", "base.qcow2");
    new Random(8).NextBytes(noise.AsSpan(size / 4));
    File.WriteAllBytes(Path.Combine(images, "noise.raw"), noise);
    Varve(images, "img", "convert", "-f", "raw", "-O", "qcow2", "-B", "base.qcow2", "-F", "qcow2", "noise.raw", "mid.qcow2");
    Varve(images, "img", "create", "-q", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2");
    File.Delete(Path.Combine(images, "noise.raw"));
}

void PrintHeaders(string title, string images)
{
    var chain = (JsonArray)JsonNode.Parse(Varve(images, "img", "info", "--backing-chain", "--output=json", "top.qcow2"))!;
    Console.WriteLine($"{title,-16} {string.Join(" <- ", chain.Select(i => $"{Path.GetFileName((string?)i!["filename"])} (names {(string?)i["backing-filename"] ?? "nothing"})"))}");
}

string StoredChecksum(string images)
{
    Varve(images, "img", "convert", "-O", "raw", "top.qcow2", "stored.raw");
    using FileStream raw = File.OpenRead(Path.Combine(images, "stored.raw"));
    return Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(raw));
}

byte[] Header(string images)
{
    using FileStream top = File.OpenRead(Path.Combine(images, "top.qcow2"));
    byte[] cluster = new byte[64 << 10];
    top.ReadExactly(cluster);
    return cluster;
}

string Varve(string workingDirectory, params string[] arguments)
{
    var start = new ProcessStartInfo(varve, arguments) { WorkingDirectory = workingDirectory, RedirectStandardOutput = true };
    using Process process = Process.Start(start)!;
    string output = process.StandardOutput.ReadToEnd();
    process.WaitForExit();
    Require(process.ExitCode == 0, $"varve {string.Join(' ', arguments)} ended with {process.ExitCode}");
    return output;
}

static void Require(bool condition, string otherwise)
{
    if (!condition) throw new InvalidOperationException(otherwise);
}
