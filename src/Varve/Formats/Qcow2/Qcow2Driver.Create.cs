using System.Text.Json;
using System.Text.Json.Nodes;
using Varve.Crypto.Luks;
using Varve.Graph;
using Varve.Options;

namespace Varve.Formats.Qcow2;

/// <content>Creation: <c>blockdev-create</c>, and the same options under the names <c>img create -o</c> has for them.</content>
internal sealed partial class Qcow2Driver
{
    private static readonly EnumType s_version = new("BlockdevQcow2Version", ["v2", "v3"]);
    private static readonly EnumType s_encryptionFormat = new("QCryptoBlockFormat", ["qcow", "luks"]);

    private static readonly ObjectType s_encryption = new("QCryptoBlockCreateOptions",
        [OptionMember.Required("format", s_encryptionFormat)],
        Tag: "format",
        new Dictionary<string, ObjectType>(StringComparer.Ordinal)
        {
            ["qcow"] = new("QCryptoBlockOptionsQCow", [OptionMember.Optional("key-secret", OptionType.Str)]),
            ["luks"] = new("QCryptoBlockCreateOptionsLUKS", LuksCreateOptions.Members),
        });

    private static readonly EnumType s_compressionType = new("Qcow2CompressionType", ["zlib", "zstd"]);

    public override IReadOnlyList<OptionMember> CreateOptions { get; } =
    [
        OptionMember.Required("file", BlockdevSchema.Ref),
        OptionMember.Optional("data-file", BlockdevSchema.Ref),
        OptionMember.Optional("data-file-raw", OptionType.Bool),
        OptionMember.Optional("extended-l2", OptionType.Bool),
        OptionMember.Required("size", OptionType.Size),
        OptionMember.Optional("version", s_version),
        OptionMember.Optional("backing-file", OptionType.Str),
        OptionMember.Optional("backing-fmt", BlockdevSchema.Driver),
        OptionMember.Optional("encrypt", s_encryption),
        OptionMember.Optional("cluster-size", OptionType.Size),
        OptionMember.Optional("preallocation", BlockdevSchema.Preallocation),
        OptionMember.Optional("lazy-refcounts", OptionType.Bool),
        OptionMember.Optional("refcount-bits", OptionType.Int),
        OptionMember.Optional("compression-type", s_compressionType),
    ];

    /// <summary>Over QMP only key slots can be amended; the command line can do more.</summary>
    public override IReadOnlyList<OptionMember> AmendOptions { get; } =
    [
        OptionMember.Optional("encrypt", new ObjectType("QCryptoBlockAmendOptions",
            [OptionMember.Required("format", s_encryptionFormat)],
            Tag: "format",
            new Dictionary<string, ObjectType>(StringComparer.Ordinal) { ["luks"] = new("QCryptoBlockAmendOptionsLUKS", LuksAmend.Members) })),
    ];

    /// <inheritdoc/>
    public override async ValueTask CreateAsync(BlockGraph graph, JsonObject options, CancellationToken cancellationToken)
    {
        BlockBackend? file = null, data = null;
        try
        {
            Qcow2CreateOptions create = null!;
            using (await graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
            {
                if (options["data-file"] is { } dataFile)
                {
                    (data, _) = await graph.OpenForCreationAsync(dataFile, () => true, cancellationToken).ConfigureAwait(false);
                }

                (file, create) = await graph.OpenForCreationAsync(
                    options["file"], () => Qcow2CreateOptions.FromJson(options, graph.Objects, data?.Node.Filename), cancellationToken).ConfigureAwait(false);
            }

            using Qcow2Encryption? encryption = create.Encryption;
            await new Qcow2Creation(file, data, create).RunAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            using (await graph.ControlLock.EnterAsync(CancellationToken.None).ConfigureAwait(false))
            {
                if (file is not null) await file.CloseAsync().ConfigureAwait(false);
                if (data is not null) await data.CloseAsync().ConfigureAwait(false);
            }
        }
    }
}
