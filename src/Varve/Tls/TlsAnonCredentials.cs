using System.Text.Json.Nodes;
using Varve.Interop.Linux;
using Varve.Options;

namespace Varve.Tls;

/// <summary><c>tls-creds-anon</c>: encrypted, but nobody shows who he is; who stands between the two sides can read along.</summary>
internal sealed class TlsAnonCredentials : TlsCredentials
{
    public TlsAnonCredentials(string id, JsonObject options) : base(id, options) => LoadWith(() => GnuTlsCredentials.Anonymous(IsServer));

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("TlsCredsAnonProperties", CommonOptions);

    public override string TypeName => "tls-creds-anon";

    public override string EffectivePriority => base.EffectivePriority + ":+ANON-DH:+ANON-ECDH";
}
