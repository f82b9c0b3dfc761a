using System.Globalization;
using System.Text;
using Varve.Cli.CommandLine;
using Varve.Cli.Output;
using Varve.Graph;

namespace Varve.Cli.Nbd;

/// <summary>The command line of <c>nbd</c>, read and checked.</summary>
internal sealed class NbdArguments
{
    private const int MaxText = 4096;

    internal static readonly OptionTable Options = new(
        "hVb:o:p:rsnc:dvk:e:f:tl:x:T:D:AB:L",
        ("help", "h"), ("version", "V"), ("bind:", "b"), ("port:", "p"), ("socket:", "k"), ("offset:", "o"), ("read-only", "r"),
        ("allocation-depth", "A"), ("bitmap:", "B"), ("connect:", "c"), ("disconnect", "d"), ("list", "L"), ("snapshot", "s"),
        ("load-snapshot:", "l"), ("nocache", "n"), ("cache:", "cache"), ("aio:", "aio"), ("discard:", "discard"), ("detect-zeroes:", "detect-zeroes"),
        ("shared:", "e"), ("format:", "f"), ("persistent", "t"), ("verbose", "v"), ("object:", "object"), ("export-name:", "x"),
        ("description:", "D"), ("tls-creds:", "tls-creds"), ("tls-hostname:", "tls-hostname"), ("tls-authz:", "tls-authz"),
        ("image-opts", "image-opts"), ("trace:", "T"), ("fork", "fork"), ("pid-file:", "pid-file"), ("selinux-label:", "selinux-label"));

    private readonly HashSet<string> _given = [];
    private string? _cacheWord, _aioWord, _discardWord;

    public string? Address { get; private set; }

    public string? Port { get; private set; }

    public string? SocketPath { get; private set; }

    /// <summary>Clients at a time; 0: any number.</summary>
    public int Shared { get; private set; } = 1;

    public bool IsPersistent { get; private set; }

    public bool IsVerbose { get; private set; }

    public string ExportName { get; private set; } = "";

    public string? Description { get; private set; }

    /// <summary>Where the export begins in the image: bytes.</summary>
    public long Offset { get; private set; }

    public bool AllocationDepth { get; private set; }

    public List<string> Bitmaps { get; } = [];

    public bool IsReadOnly { get; private set; }

    /// <summary>Writes go to an overlay that is forgotten.</summary>
    public bool IsSnapshot { get; private set; }

    public SnapshotSelector? Snapshot { get; private set; }

    public string? Format { get; private set; }

    public CacheMode Cache { get; private set; }

    /// <summary>Null: the default.</summary>
    public string? Aio { get; private set; }

    public bool Discard { get; private set; }

    public DetectZeroesMode DetectZeroes { get; private set; }

    public bool IsOptions { get; private set; }

    public List<string> Objects { get; } = [];

    public string? TlsCredentials { get; private set; }

    public string? TlsAuthorization { get; private set; }

    public string? TlsHostname { get; private set; }

    public bool Forks { get; private set; }

    public string? PidFile { get; private set; }

    public bool IsList { get; private set; }

    /// <summary>The image; null in a list.</summary>
    public string? Image { get; private set; }

    /// <summary>Reads a command line.</summary>
    /// <returns>Null when help or the version was asked for and printed.</returns>
    /// <exception cref="ToolException">It cannot be followed.</exception>
    public static NbdArguments? Read(IReadOnlyList<string> arguments, ToolConsole console)
    {
        var read = new NbdArguments();
        var reader = new OptionReader(Options, arguments);
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            if (next != OptionEvent.Option)
            {
                console.ReportError(reader.Problem);
                throw new ToolException($"Try `{console.ProgramName} --help' for more information.");
            }

            switch (reader.Key)
            {
                case "h":
                    console.Out.Write(NbdHelp.Text(console.ProgramName));
                    return null;
                case "V":
                    console.Out.Write(ToolVersion.Lines(console.ProgramName));
                    return null;
                case "object" when ObjectHelp.Find(reader.Argument) is { } help:
                    console.Out.Write(help);
                    return null;
            }

            read._given.Add(reader.Key);
            read.Set(reader.Key, reader.Argument);
        }

        read.Check(reader.Operands, console.ProgramName);
        return read;
    }

    private void Set(string key, string argument)
    {
        switch (key)
        {
            case "b": Address = argument; break;
            case "p": Port = argument; break;
            case "k":
                SocketPath = argument.StartsWith('/') ? argument : throw new ToolException("socket path must be absolute");
                break;
            case "o": Offset = ParseOffset(argument); break;
            case "r": IsReadOnly = true; break;
            case "A": AllocationDepth = true; break;
            case "B": Bitmaps.Add(argument); break;
            case "s": IsSnapshot = true; break;
            case "l": SetSnapshot(argument); break;
            case "n": SetCache("none"); break;
            case "cache": SetCache(argument); break;
            case "aio": SetAio(argument); break;
            case "discard": SetDiscard(argument); break;
            case "detect-zeroes": DetectZeroes = ParseDetectZeroes(argument); break;
            case "e": Shared = ParseShared(argument); break;
            case "f": Format = argument; break;
            case "t": IsPersistent = true; break;
            case "v": IsVerbose = true; break;
            case "x": ExportName = Limited("export name", argument); break;
            case "D": Description = Limited("export description", argument); break;
            case "object": Objects.Add(argument); break;
            case "tls-creds": TlsCredentials = argument; break;
            case "tls-authz": TlsAuthorization = argument; break;
            case "tls-hostname": TlsHostname = argument; break;
            case "image-opts": IsOptions = true; break;
            case "fork": Forks = true; break;
            case "pid-file": PidFile = argument; break;
            case "L": IsList = true; break;
        }
    }

    private void Check(IReadOnlyList<string> operands, string programName)
    {
        if (IsList)
        {
            if (operands.Count > 0) throw new ToolException("List mode is incompatible with a file name");
            if (_given.Overlaps(["x", "D", "A", "B", "o", "c", "l", "s", "f", "n", "cache", "aio", "discard", "detect-zeroes"]))
            {
                throw new ToolException("List mode is incompatible with per-device settings");
            }

            if (Forks) throw new ToolException("List mode is incompatible with forking");
        }
        else if (operands.Count != 1)
        {
            throw new ToolException("Invalid number of arguments") { Hint = $"Try `{programName} --help' for more information." };
        }

        if (TlsAuthorization is not null && (TlsCredentials is null || IsList))
        {
            throw new ToolException(TlsCredentials is null ? "--tls-authz is not permitted without --tls-creds" : "TLS authorization is incompatible with export list");
        }

        if (TlsHostname is not null)
        {
            if (TlsCredentials is null) throw new ToolException("--tls-hostname is not permitted without --tls-creds");
            if (!IsList) throw new ToolException("TLS hostname is only supported with export list");
        }

        if (_given.Contains("c") || _given.Contains("d"))
        {
            if (TlsCredentials is not null) throw new ToolException("TLS is not supported with a host device");
            throw new ToolException("The kernel's NBD devices (-c, -d) are not supported: serve a socket and connect it with nbd-client");
        }

        if (_given.Contains("selinux-label")) throw new ToolException("SELinux labels (--selinux-label) are not supported");
        if (IsOptions && Format is not null) throw new ToolException("--image-opts and -f are mutually exclusive");
        if (DetectZeroes == DetectZeroesMode.Unmap && !Discard)
        {
            throw new ToolException("setting detect-zeroes to unmap is not allowed without setting discard operation to unmap");
        }

        Image = IsList ? null : operands[0];
        if (Snapshot is not null) IsReadOnly = true;
    }

    // ---- Values

    private static long ParseOffset(string text)
    {
        if (!Int128.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out Int128 offset)
            || offset < long.MinValue || offset > long.MaxValue)
        {
            throw new ToolException($"Invalid offset '{text}'");
        }

        return offset >= 0
            ? (long)offset
            : throw new ToolException("Parameter 'offset' expects a non-negative number below 2^64")
            {
                Hint = "Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\nand exabytes, respectively.",
            };
    }

    private static int ParseShared(string text)
        => int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            ? count
            : throw new ToolException($"Invalid shared device number '{text}'");

    private static string Limited(string what, string text)
        => Encoding.UTF8.GetByteCount(text) <= MaxText ? text : throw new ToolException($"{what} '{text}' too long");

    private void SetSnapshot(string argument)
    {
        try
        {
            Snapshot = SnapshotSelector.Parse(argument);
        }
        catch (BlockException e)
        {
            throw ToolException.From("Failed to load snapshot: ", e);
        }
    }

    private void SetCache(string word)
    {
        Once(ref _cacheWord, word, "-n and --cache");
        Cache = CacheMode.TryParse(word) ?? throw new ToolException($"Invalid cache mode `{word}'");
    }

    private void SetAio(string word)
    {
        Once(ref _aioWord, word, "--aio");
        Aio = word is "threads" or "native" or "io_uring" ? word : throw new ToolException($"Invalid aio mode '{word}'");
    }

    private void SetDiscard(string word)
    {
        Once(ref _discardWord, word, "--discard");
        Discard = word switch
        {
            "unmap" or "on" => true,
            "ignore" or "off" => false,
            _ => throw new ToolException($"Invalid discard mode `{word}'"),
        };
    }

    private static DetectZeroesMode ParseDetectZeroes(string word) => word switch
    {
        "off" => DetectZeroesMode.Off,
        "on" => DetectZeroesMode.On,
        "unmap" => DetectZeroesMode.Unmap,
        _ => throw new ToolException($"Failed to parse detect_zeroes mode: invalid parameter value: {word}"),
    };

    private static void Once(ref string? place, string word, string what)
        => place = place is null ? word : throw new ToolException($"{what} can only be specified once");
}
