using System.Globalization;
using Varve.Tests.Support;

namespace Varve.Tests.Cli;

/// <summary>Images of random features, through random operations by our tools and the reference's in turn: the other side always reads
/// what a byte array says, and both sides' checks are clean. One seed is one run.</summary>
/// <remarks><c>VARVE_ROUND_TRIPS=FROM-COUNT</c> runs other seeds, or more.</remarks>
public sealed class RoundTripTests
{
    private const int Steps = 8;

    public static TheoryData<int> Seeds
    {
        get
        {
            string[] range = (Environment.GetEnvironmentVariable("VARVE_ROUND_TRIPS") ?? "0-24").Split('-');
            return [.. Enumerable.Range(int.Parse(range[0], CultureInfo.InvariantCulture), int.Parse(range[1], CultureInfo.InvariantCulture))];
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public async Task Both_sides_read_and_check_what_the_other_did(int seed)
    {
        var run = new RoundTrip(seed);
        try
        {
            await run.CreateAsync();
            for (int step = 0; step < Steps; step++)
            {
                await run.StepAsync();
                await run.CheckAsync();
            }
        }
        catch (Exception e) when (e is Xunit.Sdk.XunitException or BlockException)
        {
            Assert.Fail($"seed {seed}: {e.Message}\n{string.Join('\n', run.Log)}");
        }
        finally
        {
            run.Dispose();
        }
    }
}
