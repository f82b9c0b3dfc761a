using BenchmarkDotNet.Reports;

namespace Varve.Benchmarks;

/// <summary>What the requests of a benchmark may allocate: nothing.</summary>
/// <remarks>Measured over all threads, and in the release build: in a debug build every asynchronous method is an object.</remarks>
internal static class Budget
{
    /// <summary>What a run costs whatever it runs: its timers and its bookkeeping.</summary>
    private const long SlackBytes = 8 << 10;

    /// <summary>Half bytes a request: more of them in flight at once than ever before add to the pools. The smallest object has 24 bytes.</summary>
    private const long SlackHalves = 3;

    /// <summary>Prints one line.</summary>
    /// <returns>Whether the benchmark ran, and kept to its budget.</returns>
    public static bool Check(BenchmarkReport report)
    {
        string name = $"{report.BenchmarkCase.Descriptor.Type.Name} {report.BenchmarkCase.Descriptor.WorkloadMethod.Name} "
            + string.Join(' ', report.BenchmarkCase.Parameters.Items.Select(p => p.Value));
        if (!report.Success || report.GcStats.GetTotalAllocatedBytes(excludeAllocationQuantumSideEffects: false) is not { } bytes)
        {
            Console.WriteLine($"FAIL {name}: did not run");
            return false;
        }

        long requests = report.GcStats.TotalOperations;
        bool isFine = bytes <= SlackBytes + (requests * SlackHalves / 2);
        Console.WriteLine($"{(isFine ? "ok  " : "FAIL")} {name}: {bytes} bytes in {requests} requests");
        return isFine;
    }
}
