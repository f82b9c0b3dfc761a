using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Varve.Options;

namespace Varve.Graph;

/// <content>Children that an image names: its backing image, its data file.</content>
internal sealed partial class NodeOpening
{
    private const string Backing = "backing", BackingErrorPrefix = "Could not open backing file: ";

    /// <summary>Opens and attaches the backing image: the one the caller described or named, else the one the header records.</summary>
    /// <param name="parent">The node being opened; its header is read.</param>
    /// <param name="recordedName">The header's backing file name, verbatim; null or empty: none.</param>
    /// <param name="recordedFormat">The header's backing format; null or empty: the image is probed.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    /// <returns>The edge, or null where the image has no backing image, or none is wanted.</returns>
    /// <exception cref="BlockException">It cannot be opened, or the caller's policy forbids to follow the name.</exception>
    public async ValueTask<BlockChild?> OpenBackingAsync(
        BlockNode parent, string? recordedName, string? recordedFormat, CancellationToken cancellationToken)
    {
        ListedAfter = Graph.Nodes.FirstOrDefault();
        bool isGiven = Options.TryGetPropertyValue(Backing, out JsonNode? given);
        if (isGiven && (given is null || OptionChecker.TextOf(given) is ""))
        {
            Options.Remove(Backing);
            return null;
        }

        parent.IsBackingIgnored = Context.NoBacking;
        if (Context.NoBacking || (!isGiven && string.IsNullOrEmpty(recordedName))) return null;
        Options.Remove(Backing);
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack()) await Task.Yield();   // a deep chain opens synchronously

        bool isRecorded = !isGiven || (given is JsonObject inline && InheritsName(inline, recordedName));
        string? name = isRecorded ? Resolve(parent, recordedName!) : null;
        BlockNode child;
        try
        {
            child = isRecorded
                ? await OpenRecordedAsync(parent, name!, recordedFormat, given as JsonObject ?? [], ChildRole.Cow, cancellationToken)
                    .ConfigureAwait(false)
                : await Graph.OpenChildNodeAsync(this, given, ChildRole.Cow, cancellationToken).ConfigureAwait(false);
        }
        catch (BlockException e)
        {
            throw new BlockException(e.Kind, BackingErrorPrefix + e.Message, e) { Errno = e.Errno, Hint = e.Hint };
        }

        BlockChild edge = await AttachAsync(parent, Backing, ChildRole.Cow, child, cancellationToken).ConfigureAwait(false);
        if (!isGiven) parent.ImplicitBackingName = child.Filename;
        return edge;
    }

    /// <summary>Opens and attaches a child whose bytes are used as they are: the one the caller described, else the recorded one.</summary>
    /// <param name="parent">The node being opened.</param>
    /// <param name="name">The child's name, which is also the option's.</param>
    /// <param name="role">Decides its permissions.</param>
    /// <param name="recordedName">The file name recorded in the image, relative to the working directory as the reference has it; null: the
    /// option decides alone.</param>
    /// <param name="cancellationToken">Ends the opening.</param>
    public async ValueTask<BlockChild?> OpenNamedChildAsync(
        BlockNode parent, string name, ChildRole role, string? recordedName, CancellationToken cancellationToken)
    {
        JsonNode? given = Options[name];
        bool addsToRecorded = given is JsonObject inline && !inline.ContainsKey("filename") && OptionChecker.TextOf(inline["driver"]) is null or "file";
        if (string.IsNullOrEmpty(recordedName) || (given is not null && !addsToRecorded))
        {
            return await OpenChildAsync(parent, name, role, cancellationToken).ConfigureAwait(false);
        }

        Options.Remove(name);
        BlockNode child = await OpenRecordedAsync(
            parent, recordedName, null, given?.DeepClone() as JsonObject ?? [], role, cancellationToken).ConfigureAwait(false);
        return await AttachAsync(parent, name, role, child, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Whether an inline description only adds to the recorded name (a node name, a cache mode) instead of replacing it.</summary>
    private bool InheritsName(JsonObject inline, string? recordedName)
    {
        if (string.IsNullOrEmpty(recordedName)) return false;
        if (inline["file"] is JsonObject file ? file.ContainsKey("filename") || file.ContainsKey("driver") : inline.ContainsKey("file")) return false;
        return OptionChecker.TextOf(inline["driver"]) is not { } driver || Graph.Drivers.Find(driver) is { IsFormat: true };
    }

    /// <summary>A recorded name as seen from here: relative ones start in the directory of the image that records them.</summary>
    private static string Resolve(BlockNode parent, string recordedName)
        => FileNames.HasPrefix(recordedName) || FileNames.IsAbsolute(recordedName) ? recordedName : parent.DirectoryName + recordedName;

    private async ValueTask<BlockNode> OpenRecordedAsync(
        BlockNode parent, string name, string? recordedFormat, JsonObject options, ChildRole role, CancellationToken cancellationToken)
    {
        bool isBacking = (role & ChildRole.Cow) != 0;
        AllowedFile? allowed = RequireAllowed(parent, name, recordedFormat);
        OpenContext context = (isBacking ? Descend(parent, name) : Context) with { Allowed = allowed };

        if (!string.IsNullOrEmpty(recordedFormat) && isBacking) options.TryAdd("driver", recordedFormat);
        return await Graph.OpenDescribedAsync(
            name, options, isProtocolLayer: !isBacking, context, Settings.ForChild(role, Driver.IsFormat), cancellationToken).ConfigureAwait(false);
    }

    /// <summary>The context one image down; throws where the chain comes back to an image above, or gets too long.</summary>
    private OpenContext Descend(BlockNode parent, string name)
    {
        string self = Identity(HolderOf(parent));
        IReadOnlyList<string> above = [.. Context.Above, self];
        if (above.Contains(Identity(name), StringComparer.Ordinal) || Context.Above.Contains(self, StringComparer.Ordinal))
        {
            throw new BlockException(BlockErrorKind.Invalid, $"Backing file '{name}' creates an infinite loop.") { Errno = Errno.ELOOP };
        }

        if (Context.Depth + 1 >= Context.MaxDepth)
        {
            throw new BlockException(BlockErrorKind.TooLarge, $"The backing chain is longer than {Context.MaxDepth} images");
        }

        return Context with { Above = above, Depth = Context.Depth + 1 };
    }

    /// <summary>The name of the file that holds an image being opened: its own name is not settled yet.</summary>
    private static string HolderOf(BlockNode parent) => parent.PrimaryChild?.Node.Filename ?? parent.Filename;

    /// <summary>Where the image lies: by the file that is open, not by the name it had when it was opened.</summary>
    private string? RealPathOf(BlockNode parent, string holder)
        => parent.FindHostPath() ?? (Graph.PlainPathOf(holder) is { } path ? FileNames.CanonicalPath(path) : null);

    private string Identity(string name) => Graph.PlainPathOf(name) is { } path ? FileNames.RealPath(path) ?? path : name;

    /// <summary>Asks the policy; the first thing that is done with a name. Where nothing is allowed not even a directory is looked at.</summary>
    private AllowedFile? RequireAllowed(BlockNode parent, string name, string? recordedFormat)
    {
        if (Context.References.AllowsAnything) return null;
        string? path = Context.References.AllowsNothing ? null : Graph.PlainPathOf(name);
        bool isPlain = path is not null && (string.IsNullOrEmpty(recordedFormat) || Graph.Drivers.Find(recordedFormat) is { IsFormat: true });
        string holder = HolderOf(parent);
        if (isPlain && FileNames.CanonicalPath(path!) is { } real && Context.References.AllowsFile(real, RealPathOf(parent, holder))) return new(path!, real);
        throw new BlockException(
            BlockErrorKind.Denied, $"Image '{holder}' refers to '{name}', which may not be opened (allowed: {Context.References.Description})");
    }
}
