using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Crypto.Luks;
using Varve.Graph;
using Varve.Options;
using static Varve.Creation.CreationOptionType;

namespace Varve.Creation;

/// <summary><c>luks</c>: a file, then the header in it.</summary>
internal sealed class LuksCreation : CreationFormat
{
    private const string DetachedHeader = "detached-header";

    private static readonly string[] s_passed =
        ["size", "key-secret", "cipher-alg", "cipher-mode", "ivgen-alg", "ivgen-hash-alg", "hash-alg", "iter-time", "preallocation"];

    public override string Name => "luks";

    public override IReadOnlyList<CreationOption> Options { get; } =
    [
        new("size", Size, "Virtual disk size"),
        new("key-secret", Text, "ID of the secret that provides the keyslot passphrase"),
        new("cipher-alg", Text, "Name of encryption cipher algorithm"),
        new("cipher-mode", Text, "Name of encryption cipher mode"),
        new("ivgen-alg", Text, "Name of IV generator algorithm"),
        new("ivgen-hash-alg", Text, "Name of IV generator hash algorithm"),
        new("hash-alg", Text, "Name of encryption hash algorithm"),
        new("iter-time", Number, "Time to spend in PBKDF in milliseconds"),
        new(DetachedHeader, Switch, "Create a detached LUKS header"),
    ];

    public override IReadOnlyList<CreationOption> AmendOptions { get; } = KeySlotOptions("");

    /// <summary>What may be amended about key slots.</summary>
    /// <param name="prefix">In front of each name, where the slots are only a part of the format.</param>
    public static IReadOnlyList<CreationOption> KeySlotOptions(string prefix) =>
    [
        new(prefix + "state", Text, "Select new state of affected keyslots (active/inactive)"),
        new(prefix + "keyslot", Number, "Select a single keyslot to modify explicitly"),
        new(prefix + "old-secret", Text, "Select all keyslots that match this password"),
        new(prefix + "new-secret", Text, "New secret to set in the matching keyslots. Empty string to erase"),
        new(prefix + "iter-time", Number, "Time to spend in PBKDF in milliseconds"),
    ];

    /// <summary>A detached header has no payload of its own.</summary>
    public override bool NeedsSize(CreationOptionValues values) => values[DetachedHeader] != "on";

    /// <summary>The header, and everything behind it: whatever is written looks like noise, so nothing can be left out.</summary>
    public override ValueTask<ImageMeasurement> MeasureAsync(
        BlockGraph graph, CreationOptionValues values, BlockBackend? source, CancellationToken cancellationToken)
    {
        JsonObject members = OptionChecker.Check(LuksCreateOptions.Members, Translate(values, s_passed.Except(["size", "preallocation"])), OptionStyle.Keyval);
        long header = LuksCreateOptions.FromJson(members).HeaderSize;
        string secret = values["key-secret"] ?? throw new BlockException(BlockErrorKind.Invalid, "Parameter 'key-secret' is required for cipher");
        graph.Objects.FindSecret(secret);
        long length = Align.Up(source?.Length ?? long.Parse(values["size"]!, CultureInfo.InvariantCulture), Align.SectorSize);
        return new(new ImageMeasurement(header + length, header + length));
    }

    private static JsonObject Translate(CreationOptionValues values, IEnumerable<string> names)
    {
        var options = new JsonObject();
        foreach (string name in names)
        {
            if (values[name] is { } value) options[name] = value;
        }

        return options;
    }

    public override async ValueTask CreateAsync(
        BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
    {
        PreallocationModeText.Parse(values["preallocation"]);
        var files = new CreatedFiles(graph);
        await using (files.ConfigureAwait(false))
        {
            JsonObject options = Translate(values, s_passed);
            options["size"] ??= "0";
            string node = await files.MakeAsync(filename, values, cancellationToken).ConfigureAwait(false);
            options[values[DetachedHeader] == "on" ? "header" : "file"] = node;
            await RunAsync(graph, "luks", options, cancellationToken).ConfigureAwait(false);
            files.Keep();
        }
    }
}
