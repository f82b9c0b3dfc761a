using System.Globalization;
using System.Numerics;
using System.Text.Json.Nodes;
using Varve.Crypto.Luks;
using Varve.Options;

namespace Varve.Formats.Qcow2;

/// <summary>What is to change about an image: null members stay as they are.</summary>
internal sealed record Qcow2AmendOptions
{
    /// <summary>2 or 3.</summary>
    public int? Version { get; private init; }

    public long? Size { get; private init; }

    public string? BackingFile { get; private init; }

    public string? BackingFormat { get; private init; }

    /// <summary>Empty: none recorded.</summary>
    public string? DataFile { get; private init; }

    public bool? DataFileRaw { get; private init; }

    public bool? LazyRefcounts { get; private init; }

    public int? RefcountBits { get; private init; }

    /// <summary>Of the key slots, checked against <see cref="LuksAmend.Members"/>.</summary>
    public JsonObject? Encryption { get; private init; }

    /// <summary>Reads the options under the command line's names, <c>encrypt</c> nested.</summary>
    /// <exception cref="BlockException">A value cannot be, in the reference's words.</exception>
    public static Qcow2AmendOptions FromJson(JsonObject options) => new()
    {
        Version = OptionChecker.TextOf(options["compat"]) is { } compat ? ParseVersion(compat) : null,
        Size = OptionChecker.TextOf(options["size"]) is { } size ? long.Parse(size, CultureInfo.InvariantCulture) : null,
        BackingFile = OptionChecker.TextOf(options["backing_file"]),
        BackingFormat = OptionChecker.TextOf(options["backing_fmt"]),
        DataFile = OptionChecker.TextOf(options["data_file"]),
        DataFileRaw = ParseSwitch(options["data_file_raw"]),
        LazyRefcounts = ParseSwitch(options["lazy_refcounts"]),
        RefcountBits = OptionChecker.TextOf(options["refcount_bits"]) is { } bits ? ParseRefcountBits(bits) : null,
        Encryption = options["encrypt"] is JsonObject encryption ? CheckEncryption(encryption) : null,
    };

    private static int ParseVersion(string compat) => compat switch
    {
        "0.10" or "v2" => 2,
        "1.1" or "v3" => 3,
        _ => throw Invalid($"Unknown compatibility level {compat}"),
    };

    private static int ParseRefcountBits(string text)
        => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong bits) && bits is > 0 and <= 64 && BitOperations.IsPow2(bits)
            ? (int)bits
            : throw Invalid("Refcount width must be a power of two and may not exceed 64 bits");

    private static bool? ParseSwitch(JsonNode? value) => OptionChecker.TextOf(value) is { } text ? text == "on" : null;

    private static JsonObject CheckEncryption(JsonObject options)
    {
        options = (JsonObject)options.DeepClone();
        string? format = (string?)options["format"];
        if (format is not (null or "luks")) throw Invalid("Only LUKS encryption options can be amended for qcow2 with blockdev-amend");
        options.Remove("format");
        return OptionChecker.Check(LuksAmend.Members, options, OptionStyle.Keyval);
    }

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
