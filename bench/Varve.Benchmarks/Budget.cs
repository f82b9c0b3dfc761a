using BenchmarkDotNet.Reports;

namespace Varve.Benchmarks;

/// <summary>The bytes that a request of a benchmark may allocate; none where nothing is said.</summary>
/// <remarks>Measured over all threads, and in the release build: in a debug build every asynchronous method is an object.</remarks>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class BudgetAttribute(int bytes) : Attribute
{
    public int Bytes => bytes;
}

/// <summary>Compares what was allocated with the budget.</summary>
internal static class Budget
{
    /// <summary>What a run costs whatever it runs: its timers and its bookkeeping. Far less than one object for each request.</summary>
    private const long SlackBytes = 8 << 10;

    /// <summary>Prints one line.</summary>
    /// <returns>Whether the benchmark ran, and kept to its budget.</returns>
    public static bool Check(BenchmarkReport report)
    {
        Type type = report.BenchmarkCase.Descriptor.Type;
        int budget = ((BudgetAttribute?)Attribute.GetCustomAttribute(type, typeof(BudgetAttribute)))?.Bytes ?? 0;
        string name = $"{type.Name} {report.BenchmarkCase.Descriptor.WorkloadMethod.Name} {string.Join(' ', report.BenchmarkCase.Parameters.Items.Select(p => p.Value))}";
        if (!report.Success || report.GcStats.GetTotalAllocatedBytes(excludeAllocationQuantumSideEffects: false) is not { } bytes)
        {
            Console.WriteLine($"FAIL {name}: did not run");
            return false;
        }

        bool isFine = bytes <= budget * report.GcStats.TotalOperations + SlackBytes;
        Console.WriteLine($"{(isFine ? "ok  " : "FAIL")} {name}: {bytes} bytes in {report.GcStats.TotalOperations} requests, budget {budget} each");
        return isFine;
    }
}
