using Varve.LoadBench;

// serve: what --self-host starts as a process of its own.
if (args is ["serve", string format, string image, string socket]) return await SelfHost.RunAsync(format, image, socket).ConfigureAwait(false);

if (!BenchOptions.TryParse(args, out BenchOptions options, out string? error))
{
    Console.Error.WriteLine(error);
    Console.Error.WriteLine(BenchOptions.Usage);
    return 2;
}

DirectoryInfo directory = Directory.CreateTempSubdirectory("varve-bench-");
try
{
    var report = new Report(options);
    if (options.Only.Contains("start") && options.Server is not null) await new StartRun(options, directory.FullName, report).RunAsync().ConfigureAwait(false);
    if (options.Only.Contains("images") && options.Server is not null) await new ImageRun(options, directory.FullName, report).RunAsync().ConfigureAwait(false);
    await new LoadRun(options, directory.FullName, report).RunAsync().ConfigureAwait(false);
    report.WriteTo(Console.Out);
    return 0;
}
finally
{
    directory.Delete(recursive: true);
}
