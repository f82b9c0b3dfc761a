namespace Varve.Qmp.Server.Chardevs;

/// <summary>Nobody at the other end, ever.</summary>
internal sealed class NullChardev(string id) : Chardev(id)
{
    public override string Filename => "null";

    protected override Task ServeAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
        => Task.Delay(Timeout.Infinite, cancellationToken);
}
