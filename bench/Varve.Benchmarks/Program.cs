using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.NoEmit;
using BenchmarkDotNet.Validators;
using Varve.Benchmarks;

// Varve.Benchmarks [--time]
//   Runs every hot path and fails where a request allocates memory. Bytes are the same on every machine, so that CI can
//   hold them. Times are measured with --time, for a person to read: in one process, beside nothing else, they compare two commits.
bool isTimed = args is ["--time"];
if (args.Length > (isTimed ? 1 : 0))
{
    Console.Error.WriteLine($"{args[0]}: unknown\nVarve.Benchmarks [--time]");
    return 2;
}

Job job = Job.Default.WithToolchain(new InProcessNoEmitToolchain(new())).WithUnrollFactor(1).WithId("hot path");
if (!isTimed) job = job.WithWarmupCount(1).WithIterationCount(1).WithInvocationCount(4);
ManualConfig config = ManualConfig.CreateEmpty().AddJob(job).AddDiagnoser(MemoryDiagnoser.Default).AddColumnProvider(DefaultColumnProviders.Instance)
    .AddLogger(isTimed ? ConsoleLogger.Default : NullLogger.Instance).WithArtifactsPath(Path.Combine(Path.GetTempPath(), "varve-benchmarks"));

int failures = 0;
foreach (Type type in (Type[])[typeof(NodeBenchmarks), typeof(DirectBenchmarks), typeof(AllocatingBenchmarks), typeof(CopyBenchmarks), typeof(NbdServerBenchmarks)])
{
    Summary summary = BenchmarkRunner.Run(type, config);
    foreach (ValidationError error in summary.ValidationErrors.Where(e => e.IsCritical)) Console.Error.WriteLine(error.Message);
    if (summary.HasCriticalValidationErrors) failures++;
    foreach (BenchmarkReport report in summary.Reports)
    {
        if (!Budget.Check(report)) failures++;
    }
}

Console.WriteLine($"benchmarks: {failures} over their budget");
return failures == 0 ? 0 : 1;
