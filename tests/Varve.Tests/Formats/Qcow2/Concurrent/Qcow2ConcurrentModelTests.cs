using System.Globalization;

namespace Varve.Tests.Formats.Qcow2.Concurrent;

/// <summary>Requests that overlap, and slow operations beside them, over random features; one seed is one run. Threads decide the order, so
/// that a seed that failed may have to run several times to fail again.</summary>
/// <remarks><c>VARVE_CONCURRENT=FROM-COUNT</c> runs other seeds, or more.</remarks>
public sealed class Qcow2ConcurrentModelTests
{
    public static TheoryData<int> Seeds
    {
        get
        {
            string[] range = (Environment.GetEnvironmentVariable("VARVE_CONCURRENT") ?? "0-24").Split('-');
            return [.. Enumerable.Range(int.Parse(range[0], CultureInfo.InvariantCulture), int.Parse(range[1], CultureInfo.InvariantCulture))];
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Overlapping_requests_and_slow_operations_leave_what_the_model_allows(int seed)
    {
        await using var run = new ConcurrentRun(seed);
        try
        {
            await run.RunAsync();
        }
        catch (Exception e)
        {
            Assert.Fail($"{run.Description}\n{e}");
        }
    }
}
