using Varve.Jobs;

namespace Varve.Tests.Jobs;

public sealed class WindowSizeTests
{
    [Fact]
    public void Storage_that_answers_many_at_once_gets_the_widest_window()
    {
        var size = new WindowSize();
        for (int i = 0; i < 1000; i++) size.Copied(TimeSpan.FromMilliseconds(10 + (i % 3 * 0.2)));
        Assert.Equal(WindowSize.Max, size.Value);
    }

    /// <summary>Two processors, and nothing to wait for: every chunk beyond the second waits for its turn.</summary>
    [Fact]
    public void Storage_that_is_busy_with_two_gets_no_more_than_keep_it_busy()
    {
        var size = new WindowSize();
        for (int i = 0; i < 1000; i++) size.Copied(TimeSpan.FromMicroseconds(500 * Math.Max(1, size.Value / 2.0)));
        Assert.InRange(size.Value, 2, 4);
    }

    [Fact]
    public void A_window_follows_storage_that_changes()
    {
        var size = new WindowSize();
        for (int i = 0; i < 600; i++) size.Copied(TimeSpan.FromMilliseconds(10));
        for (int i = 0; i < 600; i++) size.Copied(TimeSpan.FromMilliseconds(5.0 * size.Value));      // one at a time from here on
        Assert.InRange(size.Value, 2, 5);
        for (int i = 0; i < 600; i++) size.Copied(TimeSpan.FromMilliseconds(40));
        Assert.Equal(WindowSize.Max, size.Value);
    }

    [Fact]
    public void A_clock_that_stands_still_does_no_harm()
    {
        var size = new WindowSize();
        for (int i = 0; i < 1000; i++) size.Copied(TimeSpan.Zero);
        Assert.Equal(WindowSize.Max, size.Value);
    }
}
