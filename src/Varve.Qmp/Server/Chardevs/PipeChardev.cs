namespace Varve.Qmp.Server.Chardevs;

/// <summary>Named pipes: <c>path.in</c> and <c>path.out</c> where they exist, or one pipe for both ways.</summary>
internal sealed class PipeChardev(string id, string path) : Chardev(id)
{
    private FileStream? _input, _output;

    public override string Filename => "pipe";

    public override ValueTask OpenAsync(CancellationToken cancellationToken)
    {
        bool separate = File.Exists(path + ".in") && File.Exists(path + ".out");
        try
        {
            // Read-write, so that opening does not wait for the other end and its leaving is no end of file.
            _input = Open(separate ? path + ".in" : path);
            _output = separate ? Open(path + ".out") : _input;
            return default;
        }
        catch (IOException e)
        {
            throw new BlockException(BlockErrorKind.NotFound, $"Could not open '{path}': {e.Message}", e);
        }
    }

    private static FileStream Open(string name) => new(name, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite, bufferSize: 0);

    protected override async Task ServeAsync(Func<IByteChannel, CancellationToken, Task> serve, CancellationToken cancellationToken)
    {
        await Task.Yield();
        await serve(new StreamChannel(new DetachableStream(_input!), _output!), cancellationToken).ConfigureAwait(false);
    }
}
