using Varve.Cli.Io;
using Varve.Cli.Output;

namespace Varve.Tests.Cli;

public sealed class RequestsInFlightTests : IDisposable
{
    private readonly StringWriter _printed = new(), _errors = new();
    private readonly RequestsInFlight _requests;

    public RequestsInFlightTests() => _requests = new(new IoOutput(new ToolConsole("qemu-io", _printed, _errors)));

    public void Dispose()
    {
        _printed.Dispose();
        _errors.Dispose();
    }

    [Fact]
    public void The_outcome_of_a_request_that_is_done_at_once_comes_out_only_while_somebody_waits()
    {
        Start("one");
        Assert.Equal("", _printed.ToString());
        using (_requests.PrintOutcomes())
        {
            Assert.Equal("one", _printed.ToString());
            Start("two");
            Assert.Equal("onetwo", _printed.ToString());
        }

        Start("three");
        Assert.Equal("onetwo", _printed.ToString());

        void Start(string outcome) => _requests.Start(print =>
        {
            print(outcome);
            return Task.CompletedTask;
        });
    }

    [Fact]
    public async Task Waiting_for_requests_prints_their_outcomes_in_the_order_they_ended()
    {
        TaskCompletionSource first = new(), second = new();
        Start(first, "first");
        Start(second, "second");
        second.SetResult();
        first.SetResult();
        Assert.Equal("", _printed.ToString());
        await _requests.WaitAsync();
        Assert.Equal("secondfirst", _printed.ToString());

        void Start(TaskCompletionSource end, string outcome) => _requests.Start(async print =>
        {
            await end.Task;
            print(outcome);
        });
    }
}
