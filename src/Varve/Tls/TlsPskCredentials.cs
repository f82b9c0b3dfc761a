using System.Text;
using System.Text.Json.Nodes;
using Varve.Interop.Linux;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Tls;

/// <summary><c>tls-creds-psk</c>: keys that both sides know, in the file <c>keys.psk</c> of lines <c>user:hexadecimal key</c>.</summary>
internal sealed class TlsPskCredentials : TlsCredentials
{
    private const string DefaultUser = "qemu";

    public TlsPskCredentials(string id, JsonObject options) : base(id, options)
    {
        string file = FindFile("keys.psk", isRequired: true)!;
        if (IsServer)
        {
            if (Given("username") is not null) throw new BlockException(BlockErrorKind.Invalid, "username should not be set when endpoint=server");
            LoadWith(() => GnuTlsCredentials.PskServer(file));
            return;
        }

        string user = Given("username") ?? DefaultUser;
        byte[] key = Encoding.ASCII.GetBytes(KeyOf(user, file));
        LoadWith(() => GnuTlsCredentials.PskClient(user, key));
    }

    /// <summary>Its members in <c>object-add</c>.</summary>
    public static ObjectType Options { get; } = new("TlsCredsPskProperties", [.. CommonOptions, Optional("username", Str)]);

    public override string TypeName => "tls-creds-psk";

    public override string EffectivePriority => base.EffectivePriority + ":+ECDHE-PSK:+DHE-PSK:+PSK";

    private static string KeyOf(string user, string file)
    {
        foreach (string line in File.ReadLines(file))
        {
            if (line.StartsWith(user + ":", StringComparison.Ordinal)) return line[(user.Length + 1)..].Trim();
        }

        throw new BlockException(BlockErrorKind.NotFound, $"Username {user} not found in PSK file {file}");
    }
}
