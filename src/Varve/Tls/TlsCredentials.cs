using System.Text.Json.Nodes;
using Varve.Interop.Linux;
using Varve.Objects;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Tls;

/// <summary>How one side of an encrypted connection shows who it is, and knows the other: the objects <c>tls-creds-*</c>.</summary>
internal abstract class TlsCredentials : QomObject
{
    private const string DefaultPriority = "NORMAL";

    private static readonly EnumType s_endpoint = new("QCryptoTLSCredsEndpoint", ["client", "server"]);

    private readonly JsonObject _options;
    private GnuTlsCredentials? _loaded;

    protected TlsCredentials(string id, JsonObject options) : base(id)
    {
        _options = options;
        IsServer = (string?)options["endpoint"] == "server";
        VerifyPeer = (bool?)options["verify-peer"] ?? true;
        Directory = (string?)options["dir"];
        Priority = (string?)options["priority"];
        Properties =
        [
            new("loaded", "bool", () => true),
            new("verify-peer", "bool", () => VerifyPeer),
            new("dir", "string", () => Directory ?? ""),
            new("endpoint", "QCryptoTLSCredsEndpoint", () => IsServer ? "server" : "client"),
            new("priority", "string", () => Priority ?? ""),
        ];
    }

    /// <summary>The members all kinds have.</summary>
    protected static IReadOnlyList<OptionMember> CommonOptions { get; } =
    [
        Optional("verify-peer", Bool), Optional("dir", Str), Optional("endpoint", s_endpoint), Optional("priority", Str),
        Optional("loaded", Bool) with { Features = ["deprecated"] },
    ];

    public bool IsServer { get; }

    /// <summary>Whether the other side must show who it is.</summary>
    public bool VerifyPeer { get; }

    /// <summary>Where the files are; null where the kind needs none.</summary>
    protected string? Directory { get; }

    protected string? Priority { get; }

    public override IReadOnlyList<QomProperty> Properties { get; }

    /// <summary>Which algorithms are taken, in GnuTLS's words.</summary>
    public virtual string EffectivePriority => Priority ?? DefaultPriority;

    /// <summary>Whether the other side shows a certificate.</summary>
    public virtual bool HasCertificates => false;

    /// <summary>As GnuTLS has loaded them.</summary>
    public GnuTlsCredentials Loaded => _loaded ?? throw new InvalidOperationException("The credentials were not loaded.");

    /// <summary>Reads the files.</summary>
    /// <exception cref="BlockException">One is missing or unusable, or there is no GnuTLS on this machine.</exception>
    protected void LoadWith(Func<GnuTlsCredentials> load)
    {
        try
        {
            _loaded = load();
        }
        catch (Exception e) when (e is DllNotFoundException or EntryPointNotFoundException)
        {
            throw new BlockException(BlockErrorKind.Unsupported, $"{TypeName} needs GnuTLS (libgnutls.so.30), which cannot be loaded", e);
        }
    }

    public override void Close() => _loaded?.Dispose();

    /// <summary>The path of a file in the directory.</summary>
    /// <param name="name">The file's.</param>
    /// <param name="isRequired">Whether there is no doing without it; else null where it is missing.</param>
    protected string? FindFile(string name, bool isRequired)
    {
        if (string.IsNullOrEmpty(Directory)) throw new BlockException(BlockErrorKind.Invalid, "Missing 'dir' property value");
        string path = Path.Combine(Directory, name);
        try
        {
            using FileStream file = File.OpenRead(path);
            return path;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            if (!isRequired) return null;
            throw new BlockException(BlockErrorKind.NotFound, $"Unable to access credentials {path}: {Errno.Text(Errno.ENOENT)}", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new BlockException(BlockErrorKind.Denied, $"Unable to access credentials {path}: {Errno.Text(Errno.EACCES)}", e);
        }
    }

    /// <summary>An option as it was given.</summary>
    protected string? Given(string name) => (string?)_options[name];
}
