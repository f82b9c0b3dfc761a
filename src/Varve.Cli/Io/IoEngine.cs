using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Graph;

namespace Varve.Cli.Io;

/// <summary>Runs command lines of <c>io</c> on an image: the tool's own, or a node of a running program that a monitor names.</summary>
/// <param name="graph">Where the image lives.</param>
/// <param name="output">Where commands print.</param>
/// <param name="commands">The commands there are.</param>
internal sealed class IoEngine(BlockGraph graph, IoOutput output, IReadOnlyList<IoCommand> commands)
{
    public BlockGraph Graph { get; } = graph;

    public IoOutput Output { get; } = output;

    /// <summary>In alphabetical order.</summary>
    public IReadOnlyList<IoCommand> Commands { get; } = [.. commands.OrderBy(c => c.Name, StringComparer.Ordinal)];

    /// <summary>The open image; null without one.</summary>
    public BlockBackend? Backend { get; set; }

    /// <summary>The image, in a command that does not run without one.</summary>
    public BlockBackend Image => Backend ?? throw new InvalidOperationException("The command runs with an image only.");

    /// <summary>Whether every write is durable when it completes.</summary>
    public bool IsWriteThrough { get; set; }

    /// <summary>Whether buffers begin where direct I/O does not like them to.</summary>
    public bool MisalignsBuffers { get; set; }

    /// <summary>Whether a command asked for the end.</summary>
    public bool IsQuitting { get; set; }

    /// <summary>Requests of the <c>aio</c> commands.</summary>
    public RequestsInFlight InFlight { get; } = new(output);

    /// <summary>Finds a command by its name or alias; null where there is none.</summary>
    public IoCommand? Find(string name) => Commands.FirstOrDefault(c => c.Name == name || c.Alias == name);

    /// <summary>Runs a line: a command and its arguments, separated by spaces.</summary>
    /// <returns>Whether it succeeded; an empty line does.</returns>
    public async ValueTask<bool> RunAsync(string line, CancellationToken cancellationToken)
    {
        string[] words = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (words.Length == 0) return true;
        if (Find(words[0]) is not { } command) return Fail($"command \"{words[0]}\" not found\n");
        string[] arguments = words[1..];
        if (Backend is null && !command.RunsWithoutImage) return Fail("no file open, try 'help open'\n");
        if (WrongCount(command, arguments.Length) is { } expected) return Fail($"bad argument count {arguments.Length} to {words[0]}, expected {expected}\n");
        try
        {
            await RequireAsync(command.Permissions, cancellationToken).ConfigureAwait(false);
            using IDisposable? printing = command.Waits ? InFlight.PrintOutcomes() : null;
            return await command.RunAsync(this, arguments, cancellationToken).ConfigureAwait(false);
        }
        catch (IoRefusal refusal)
        {
            if (refusal.ErrorText is { } error) Output.PrintError(error);
            Output.Print(refusal.Message);
            return false;
        }
        catch (BlockException e)
        {
            Output.Report(e);
            return false;
        }
    }

    private bool Fail(string text)
    {
        Output.PrintError(text);
        return false;
    }

    private static string? WrongCount(IoCommand command, int count) => (command.MinArguments, command.MaxArguments) switch
    {
        var (min, max) when count >= min && (max < 0 || count <= max) => null,
        ( { } min, < 0) => $"at least {min} arguments",
        var (min, max) when min == max => $"{min} arguments",
        var (min, max) => $"between {min} and {max} arguments",
    };

    /// <summary>Asks for what a command needs of the image; it is kept from then on.</summary>
    private async ValueTask RequireAsync(BlockPermissions permissions, CancellationToken cancellationToken)
    {
        if (Backend is not { } backend || (backend.Permissions & permissions) == permissions) return;
        await SetPermissionsAsync(backend.Permissions | permissions, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Changes how the image is open.</summary>
    /// <param name="readOnly">Null: as it is.</param>
    /// <param name="cache">Null: as it is.</param>
    /// <param name="options">Options of the driver.</param>
    /// <param name="cancellationToken">Ends it before the change.</param>
    public async ValueTask ReopenAsync(bool? readOnly, CacheMode? cache, JsonObject options, CancellationToken cancellationToken)
    {
        BlockPermissions before = Image.Permissions;
        if (readOnly is { } wanted) options["read-only"] = wanted;
        if (cache is { } mode) (options["cache.direct"], options["cache.no-flush"]) = (mode.Direct, mode.NoFlush);
        if (readOnly == true) await SetPermissionsAsync(before & ~(BlockPermissions.Write | BlockPermissions.Resize), cancellationToken).ConfigureAwait(false);
        try
        {
            using IDisposable held = await Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
            await Graph.ReopenAsync(Image.Node.SkipImplicitFilters(), options, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException)
        {
            if (readOnly == true) await SetPermissionsAsync(before, CancellationToken.None).ConfigureAwait(false);
            throw;
        }

        if (cache is { } used) IsWriteThrough = used.WriteThrough;
    }

    /// <summary>Changes what is needed of the image.</summary>
    /// <exception cref="BlockException">It cannot be had.</exception>
    public async ValueTask SetPermissionsAsync(BlockPermissions permissions, CancellationToken cancellationToken)
    {
        using IDisposable held = await Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        var change = new GraphTransaction(Graph);
        change.SetPermissions(Image, permissions, Image.Shared);
        await change.PrepareAsync(cancellationToken).ConfigureAwait(false);
        await change.CommitAsync().ConfigureAwait(false);
    }
}
