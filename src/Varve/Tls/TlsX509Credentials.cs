using System.Text;
using System.Text.Json.Nodes;
using Varve.Interop.Linux;
using Varve.Objects;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Tls;

/// <summary><c>tls-creds-x509</c>: certificates, in files of fixed names.</summary>
internal sealed class TlsX509Credentials : TlsCredentials
{
    public TlsX509Credentials(string id, JsonObject options, ObjectRegistry objects, TimeProvider time) : base(id, options)
    {
        string side = IsServer ? "server" : "client";
        string authorities = FindFile("ca-cert.pem", isRequired: true)!;
        string? revoked = FindFile("ca-crl.pem", isRequired: false);
        string? certificate = FindFile($"{side}-cert.pem", isRequired: IsServer), key = FindFile($"{side}-key.pem", isRequired: IsServer);
        string? password = Given("passwordid") is { } secret ? Encoding.UTF8.GetString(objects.FindSecret(secret).Value.Span) : null;
        LoadWith(() =>
        {
            if ((bool?)options["sanity-check"] ?? true)
            {
                CheckTime("CA", authorities, time);
                if (certificate is not null) CheckTime(side, certificate, time);
            }

            return GnuTlsCredentials.Certificates(authorities, revoked, certificate is null || key is null ? null : (certificate, key), password);
        });
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new(
        "TlsCredsX509Properties", [.. CommonOptions, Optional("sanity-check", Bool), Optional("passwordid", Str)]);

    public override string TypeName => "tls-creds-x509";

    public override bool HasCertificates => true;

    private static void CheckTime(string whose, string file, TimeProvider time)
    {
        long now = time.GetUtcNow().ToUnixTimeSeconds();
        (long from, long until) = GnuTlsCredentials.ValidityOf(file);
        if (until < now) throw new BlockException(BlockErrorKind.Invalid, $"The {whose} certificate {file} has expired");
        if (from > now) throw new BlockException(BlockErrorKind.Invalid, $"The {whose} certificate {file} is not yet active");
    }
}
