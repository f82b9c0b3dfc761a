namespace Varve.Qmp.Server.Chardevs;

/// <summary>The process's standard input and output: one client, which is there from the start.</summary>
internal sealed class StdioChardev(string id, Stream input, Stream output) : Chardev(id)
{
    public StdioChardev(string id) : this(id, Console.OpenStandardInput(), Console.OpenStandardOutput()) { }

    public override string Filename => "stdio";

    protected override async Task ServeAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
    {
        // Standard input cannot be read with a cancellation that takes effect, so a read may outlast the conversation.
        await Task.Yield();
        await serve(new StreamChannel(new DetachableStream(input), output, leaveOpen: true), cancellationToken).ConfigureAwait(false);
    }
}
