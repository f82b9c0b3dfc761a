using System.Text.Json.Nodes;
using Varve.Graph;
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

    /// <summary>A detached header has no payload of its own.</summary>
    public override bool NeedsSize(CreationOptionValues values) => values[DetachedHeader] != "on";

    public override async ValueTask CreateAsync(
        BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
    {
        var files = new CreatedFiles(graph);
        await using (files.ConfigureAwait(false))
        {
            var options = new JsonObject { ["size"] = "0" };
            foreach (string name in s_passed)
            {
                if (values[name] is { } value) options[name] = value;
            }

            string node = await files.MakeAsync(filename, values, cancellationToken).ConfigureAwait(false);
            options[values[DetachedHeader] == "on" ? "header" : "file"] = node;
            await RunAsync(graph, "luks", options, cancellationToken).ConfigureAwait(false);
            files.Keep();
        }
    }
}
