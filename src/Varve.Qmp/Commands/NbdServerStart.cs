using System.Text.Json.Nodes;
using Varve.Nbd.Server;
using Varve.Nbd.Transport;
using Varve.Options;
using Varve.Qmp.Schema;
using Varve.Qmp.Server.Chardevs;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>nbd-server-start</c>: starts the NBD server.</summary>
internal sealed class NbdServerStart() : QmpCommand("nbd-server-start", s_arguments)
{
    private static readonly OptionMember[] s_arguments =
    [
        Required("addr", SocketAddressTypes.SocketAddressLegacy), Optional("tls-creds", Str), Optional("tls-authz", Str), Optional("max-connections", OptionType.UInt32),
    ];

    public override async ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        call.Context.Exports.CheckNoNbdServer();
        TlsUpgrade? tls = NbdServerOptions.UpgradeWith(
            call.Context.Objects, call.Context.Objects.FindTls(call.OptionalText("tls-creds"), isServer: true), call.OptionalText("tls-authz"));
        SocketTarget address = SocketTarget.From(call.Object("addr"));
        await call.Context.StartNbdServerAsync(address, (int)(call.OptionalNumber("max-connections") ?? 0), tls, cancellationToken).ConfigureAwait(false);
        return null;
    }
}
