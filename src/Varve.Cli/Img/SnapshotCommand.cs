using System.Text.Json.Nodes;
using Varve.Cli.CommandLine;
using Varve.Cli.Images;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary><c>img snapshot</c>: lists, takes, applies and deletes the snapshots inside an image.</summary>
internal sealed class SnapshotCommand : ImgCommand
{
    private enum Action { None, List, Create, Apply, Delete }

    private Action _action;
    private string _name = "";
    private bool _isOptions, _forceShare;

    internal protected override OptionTable Options { get; } = new(
        "la:c:d:hqU", ("help", "h"), ("object:", null), ("image-opts", null), ("force-share", "U"));

    protected override void SetOption(ToolContext context, string key, string argument)
    {
        switch (key)
        {
            case "l": Choose(Action.List, argument); break;
            case "a": Choose(Action.Apply, argument); break;
            case "c": Choose(Action.Create, argument); break;
            case "d": Choose(Action.Delete, argument); break;
            case "U": _forceShare = true; break;
            case "image-opts": _isOptions = true; break;
        }
    }

    private void Choose(Action action, string name)
    {
        if (_action != Action.None) throw ToolException.Usage("Cannot mix '-l', '-a', '-c', '-d'");
        (_action, _name) = (action, name);
    }

    protected override async ValueTask<int> ExecuteAsync(ToolContext context, IReadOnlyList<string> operands, CancellationToken cancellationToken)
    {
        if (operands.Count != 1) throw ToolException.Usage("Expecting one image file name");
        bool isList = _action is Action.None or Action.List;
        var argument = new ImageArgument(operands[0], Format: null, _isOptions)
        {
            Settings = new() { ReadOnly = isList, ForceShare = _forceShare, Discard = !isList },
            MayResize = _action == Action.Apply,
        };
        BlockBackend image = await context.OpenAsync(argument, cancellationToken).ConfigureAwait(false);
        if (isList) List(context.Console, image.Node);
        else await ActAsync(context, image.Node, cancellationToken).ConfigureAwait(false);
        await context.CloseAsync(image).ConfigureAwait(false);
        return 0;
    }

    private static void List(ToolConsole console, BlockNode node)
    {
        if (InternalSnapshots.Of(node) is not { Count: > 0 } snapshots) return;
        foreach (string line in SnapshotTable.Lines(new JsonArray([.. snapshots.Select(s => s.ToJson())]))) console.Out.Write(line + "\n");
    }

    private async ValueTask ActAsync(ToolContext context, BlockNode node, CancellationToken cancellationToken)
    {
        using IDisposable held = await context.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            switch (_action)
            {
                case Action.Create:
                    await InternalSnapshots.CreateAsync(node, NewSnapshot(context.Graph.Time), cancellationToken).ConfigureAwait(false);
                    break;
                case Action.Apply:
                    await InternalSnapshots.ApplyAsync(node, _name, cancellationToken).ConfigureAwait(false);
                    break;
                default:
                    InternalSnapshot found = InternalSnapshots.FindByName(node, _name)
                        ?? throw new ToolException($"Could not delete snapshot '{_name}': snapshot not found");
                    await InternalSnapshots.DeleteAsync(node, found.Id, found.Name, cancellationToken).ConfigureAwait(false);
                    break;
            }
        }
        catch (BlockException e) when (_action == Action.Create)
        {
            throw new ToolException($"Could not create snapshot '{_name}': {Errno.Text(e.Errno)}");
        }
        catch (BlockException e)
        {
            throw ToolException.From($"Could not {(_action == Action.Apply ? "apply" : "delete")} snapshot '{_name}': ", e);
        }
    }

    private InternalSnapshot NewSnapshot(TimeProvider time)
    {
        DateTimeOffset now = time.GetUtcNow();
        return new InternalSnapshot
        {
            Name = _name,
            DateSeconds = now.ToUnixTimeSeconds(),
            DateNanoseconds = (int)(now.Ticks % TimeSpan.TicksPerSecond) * 100,
            InstructionCount = 0,
        };
    }
}
