using System.Globalization;
using System.Text.Json.Nodes;
using Varve.Formats.Qcow2;
using Varve.Graph;
using Varve.Options;
using static Varve.Creation.CreationOptionType;

namespace Varve.Creation;

/// <summary><c>qcow2</c>: a file, then the metadata in it.</summary>
internal sealed class Qcow2Creation : CreationFormat
{
    private const string Prefix = "encrypt.";

    // The command line's names and those of blockdev-create, for values that pass unchanged.
    private static readonly (string Option, string Member)[] s_members =
    [
        ("size", "size"), ("data_file_raw", "data-file-raw"), ("backing_file", "backing-file"), ("backing_fmt", "backing-fmt"),
        ("cluster_size", "cluster-size"), ("preallocation", "preallocation"), ("lazy_refcounts", "lazy-refcounts"),
        ("refcount_bits", "refcount-bits"), ("compression_type", "compression-type"), ("extended_l2", "extended-l2"),
    ];

    private static readonly CreationOption[] s_encryption =
    [
        new("encrypt.format", Text, "Encrypt the image, format choices: 'aes', 'luks'"),
        new("encrypt.key-secret", Text, "ID of secret providing qcow AES key or LUKS passphrase"),
        new("encrypt.cipher-alg", Text, "Name of encryption cipher algorithm"),
        new("encrypt.cipher-mode", Text, "Name of encryption cipher mode"),
        new("encrypt.ivgen-alg", Text, "Name of IV generator algorithm"),
        new("encrypt.ivgen-hash-alg", Text, "Name of IV generator hash algorithm"),
        new("encrypt.hash-alg", Text, "Name of encryption hash algorithm"),
        new("encrypt.iter-time", Number, "Time to spend in PBKDF in milliseconds"),
    ];

    public override string Name => "qcow2";

    public override IReadOnlyList<CreationOption> Options { get; } =
    [
        new("encryption", Switch, "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)"),
        .. s_encryption,
        new("cluster_size", Size, "qcow2 cluster size", "65536"),
        new("extended_l2", Switch, "Extended L2 tables", "off"),
        new("preallocation", Text, "Preallocation mode (allowed values: off, metadata, falloc, full)"),
        new("compression_type", Text, "Compression method used for image cluster compression", "zlib"),
        new("size", Size, "Virtual disk size"),
        new("compat", Text, "Compatibility level (v2 [0.10] or v3 [1.1])"),
        new("backing_file", Text, "File name of a base image"),
        new("backing_fmt", Text, "Image format of the base image"),
        new("data_file", Text, "File name of an external data file"),
        new("data_file_raw", Switch, "The external data file must stay valid as a raw image"),
        new("lazy_refcounts", Switch, "Postpone refcount updates", "off"),
        new("refcount_bits", Number, "Width of a reference count entry in bits", "16"),
    ];

    public override IReadOnlyList<CreationOption> AmendOptions { get; } =
    [
        .. LuksCreation.KeySlotOptions("encrypt."),
        new("size", Size, "Virtual disk size"),
        new("compat", Text, "Compatibility level (v2 [0.10] or v3 [1.1])"),
        new("backing_file", Text, "File name of a base image"),
        new("backing_fmt", Text, "Image format of the base image"),
        new("data_file", Text, "File name of an external data file"),
        new("data_file_raw", Switch, "The external data file must stay valid as a raw image"),
        new("lazy_refcounts", Switch, "Postpone refcount updates"),
        new("refcount_bits", Number, "Width of a reference count entry in bits"),
    ];

    /// <summary>The key slots' options lie in an object of their own.</summary>
    public override AmendRequest TranslateAmend(CreationOptionValues values)
    {
        JsonObject options = base.TranslateAmend(values).Options, slots = [];
        foreach (string name in options.Select(o => o.Key).Where(n => n.StartsWith(Prefix, StringComparison.Ordinal)).ToList())
        {
            slots[name[Prefix.Length..]] = options[name]!.DeepClone();
            options.Remove(name);
        }

        if (slots.Count > 0) options["encrypt"] = slots;
        return new AmendRequest(options);
    }

    public override async ValueTask CreateAsync(
        BlockGraph graph, string filename, CreationOptionValues values, CancellationToken cancellationToken)
    {
        var files = new CreatedFiles(graph);
        await using (files.ConfigureAwait(false))
        {
            JsonObject options = Translate(values);
            options["file"] = await files.MakeAsync(filename, values, cancellationToken).ConfigureAwait(false);
            if (values.Given("data_file") is { } dataFile)
            {
                options["data-file"] = await files.MakeAsync(dataFile, values, cancellationToken).ConfigureAwait(false);
            }

            await RunAsync(graph, "qcow2", options, cancellationToken).ConfigureAwait(false);
            files.Keep();
        }
    }

    public override ValueTask<ImageMeasurement> MeasureAsync(
        BlockGraph graph, CreationOptionValues values, BlockBackend? source, CancellationToken cancellationToken)
    {
        if (values.Given("compat") is { } compat && compat is not ("0.10" or "v2" or "1.1" or "v3"))
        {
            throw new BlockException(BlockErrorKind.Invalid, $"Invalid compatibility level: '{compat}'");
        }

        if (source is not null) values.Set("size", source.Length.ToString(CultureInfo.InvariantCulture));
        JsonObject options = Translate(values);
        options["file"] = "";                  // none is written
        options.Remove("data-file-raw");       // a data file's clusters count as the image's own
        JsonObject members = OptionChecker.Check(graph.Drivers.Find("qcow2")!.CreateOptions!, options, OptionStyle.Keyval);
        return Qcow2Measure.RunAsync(Qcow2CreateOptions.FromJson(members, graph.Objects), source, cancellationToken);
    }

    private static JsonObject Translate(CreationOptionValues values)
    {
        var options = new JsonObject();
        foreach ((string option, string member) in s_members)
        {
            if (values[option] is { } value) options[member] = value;
        }

        if (TranslateEncryption(values) is { } encryption) options["encrypt"] = encryption;
        long size = long.Parse(values["size"]!, CultureInfo.InvariantCulture);
        options["size"] = Align.Up(size, Align.SectorSize).ToString(CultureInfo.InvariantCulture);
        if (values.Given("compat") is { } compat)
        {
            options["version"] = compat switch { "0.10" => "v2", "1.1" => "v3", _ => compat };
        }

        return options;
    }

    private static JsonObject? TranslateEncryption(CreationOptionValues values)
    {
        var options = new JsonObject();
        foreach (CreationOption option in s_encryption)
        {
            if (values.Given(option.Name) is { } value) options[option.Name[Prefix.Length..]] = value;
        }

        if (values.Given("encryption") == "on")
        {
            if (options.ContainsKey("format"))
            {
                throw new BlockException(BlockErrorKind.Invalid, "'encrypt.format' and its alias 'encryption' can't be used at the same time");
            }

            options["format"] = "aes";
        }

        if (options.Count == 0) return null;
        if ((string?)options["format"] == "aes") options["format"] = "qcow";   // blockdev-create's word for it
        return options;
    }
}
