using Varve.Interop.Linux;
using Varve.Objects;

namespace Varve.Tls;

/// <summary>Begins encrypted sessions and decides whether the other side is who it should be.</summary>
internal static class TlsSession
{
    /// <summary>A server's side: handshake, then the client's certificate, then whether that client may come in.</summary>
    /// <param name="channel">In the clear.</param>
    /// <param name="credentials">The server's.</param>
    /// <param name="authorizer">Decides by the name in the certificate; null: whoever has a valid one.</param>
    /// <exception cref="BlockException">The client is refused.</exception>
    public static GnuTlsSession Accept(ITlsChannel channel, TlsCredentials credentials, Authorizer? authorizer)
    {
        bool asks = credentials is { HasCertificates: true, VerifyPeer: true };
        return Begin(channel, credentials, asks, session =>
        {
            if (asks) Verify(session);
            if (authorizer is null) return;

            // Differs from QEMU: it asks nobody where clients show no certificate. Who set up an authorizer wants it asked.
            if (!asks) throw new BlockException(BlockErrorKind.Denied, "TLS authorization needs the client's certificate");
            string name = session.PeerName();
            if (!authorizer.Allows(name)) throw new BlockException(BlockErrorKind.Denied, $"TLS x509 authz check for {name} is denied");
        });
    }

    /// <summary>A client's side: handshake, then whether the server is the one that was meant.</summary>
    /// <param name="channel">In the clear.</param>
    /// <param name="credentials">The client's.</param>
    /// <param name="hostname">The name the server's certificate must hold.</param>
    /// <exception cref="BlockException">The server is refused, or refuses.</exception>
    public static GnuTlsSession Connect(ITlsChannel channel, TlsCredentials credentials, string? hostname)
        => Begin(channel, credentials, asksForCertificate: false, session =>
        {
            if (credentials is not { HasCertificates: true, VerifyPeer: true }) return;
            Verify(session);
            if (hostname is null) throw new BlockException(BlockErrorKind.Denied, "No hostname for certificate validation");
            if (!session.PeerIs(hostname)) throw new BlockException(BlockErrorKind.Denied, $"Certificate does not match the hostname {hostname}");
        });

    private static GnuTlsSession Begin(ITlsChannel channel, TlsCredentials credentials, bool asksForCertificate, Action<GnuTlsSession> check)
    {
        var session = new GnuTlsSession(channel, credentials.Loaded, credentials.IsServer, credentials.EffectivePriority, asksForCertificate);
        try
        {
            session.Handshake();
            check(session);
            return session;
        }
        catch
        {
            session.Dispose();
            throw;
        }
    }

    private static void Verify(GnuTlsSession session)
    {
        uint status = session.VerifyPeer();
        if (status == 0) return;
        string reason = (status & GnuTls.InsecureAlgorithm) != 0 ? "The certificate uses an insecure algorithm"
            : (status & GnuTls.Revoked) != 0 ? "The certificate has been revoked"
            : (status & GnuTls.SignerNotFound) != 0 ? "The certificate hasn't got a known issuer"
            : (status & GnuTls.Expired) != 0 ? "The certificate has expired"
            : (status & GnuTls.NotActivated) != 0 ? "The certificate is not yet activated"
            : (status & GnuTls.Invalid) != 0 ? "The certificate is not trusted"
            : "Invalid certificate";
        throw new BlockException(BlockErrorKind.Denied, reason);
    }
}
