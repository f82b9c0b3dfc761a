using System.Runtime.InteropServices;
using System.Text;

namespace Varve.Interop.Linux;

/// <summary>What a TLS session runs on.</summary>
internal interface ITlsChannel
{
    /// <summary>Waits for bytes; 0 at the end of the stream.</summary>
    int Receive(Span<byte> buffer);

    /// <summary>Sends everything.</summary>
    void Send(ReadOnlySpan<byte> bytes);
}

/// <summary>A GnuTLS session over a channel of ours. One thread may receive while another sends.</summary>
internal sealed unsafe class GnuTlsSession : IDisposable
{
    private const int Eio = Errno.EIO, MaxName = 1024;

    private readonly nint _session;
    private readonly ITlsChannel _channel;
    private readonly GnuTlsCredentials _credentials;
    private GCHandle _self;
    private Exception? _channelFailure;
    private bool _isDisposed;

    /// <param name="channel">In the clear.</param>
    /// <param name="credentials">Kept while the session lives.</param>
    /// <param name="isServer">Which side this is.</param>
    /// <param name="priority">Which algorithms, in GnuTLS's words.</param>
    /// <param name="asksForCertificate">A server asks its client for one.</param>
    /// <exception cref="BlockException">The priority is malformed.</exception>
    public GnuTlsSession(ITlsChannel channel, GnuTlsCredentials credentials, bool isServer, string priority, bool asksForCertificate)
    {
        _channel = channel;
        _credentials = credentials;
        Check(GnuTls.Init(out _session, isServer ? GnuTls.Server : GnuTls.Client), "Failed to initialize TLS session: ");
        bool isHeld = false;
        try
        {
            credentials.DangerousAddRef(ref isHeld);
            Check(GnuTls.SetPriority(_session, priority, 0), $"Unable to set TLS session priority {priority}: ");
            Check(GnuTls.SetCredentials(_session, credentials.Type, credentials.DangerousGetHandle()), "Cannot set session credentials: ");
            if (asksForCertificate) GnuTls.RequestCertificate(_session, 1);
            _self = GCHandle.Alloc(this);
            GnuTls.SetTransport(_session, GCHandle.ToIntPtr(_self));
            GnuTls.SetPush(_session, &Push);
            GnuTls.SetPull(_session, &Pull);
        }
        catch
        {
            if (isHeld) credentials.DangerousRelease();
            GnuTls.Deinit(_session);
            throw;
        }
    }

    /// <summary>Agrees with the other side.</summary>
    public void Handshake()
    {
        int result;
        do result = GnuTls.Handshake(_session);
        while (result < 0 && GnuTls.IsFatal(result) == 0);
        if (result < 0) throw Failure(result, "TLS handshake failed: ");
    }

    /// <summary>What is wrong with the other side's certificate, as GnuTLS's bits; 0: nothing.</summary>
    public uint VerifyPeer()
    {
        Check(GnuTls.VerifyPeers(_session, out uint status), "Verify failed: ");
        return status;
    }

    /// <summary>The distinguished name in the other side's certificate.</summary>
    public string PeerName()
    {
        return WithPeer(static (certificate, _) =>
        {
            byte* buffer = stackalloc byte[MaxName];
            nuint size = MaxName;
            Check(GnuTls.CertificateName(certificate, buffer, ref size), "Cannot get client distinguished name: ");
            return Encoding.UTF8.GetString(buffer, (int)size).TrimEnd('\0');
        }, "");
    }

    /// <summary>Whether the other side's certificate was made for a host.</summary>
    public bool PeerIs(string hostname) => WithPeer(static (certificate, name) => GnuTls.CertificateMatches(certificate, name) != 0 ? "yes" : "", hostname).Length > 0;

    /// <summary>Waits for bytes; 0 when the other side ended the session in good order.</summary>
    public int Receive(Span<byte> buffer)
    {
        fixed (byte* target = buffer)
        {
            while (true)
            {
                nint received = GnuTls.Receive(_session, target, (nuint)buffer.Length);
                if (received >= 0) return (int)received;
                if (GnuTls.IsFatal((int)received) != 0) throw Broken("read from", (int)received);
            }
        }
    }

    /// <summary>Sends everything.</summary>
    public void Send(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* start = bytes)
        {
            for (int done = 0; done < bytes.Length;)
            {
                nint sent = GnuTls.Send(_session, start + done, (nuint)(bytes.Length - done));
                if (sent >= 0) done += (int)sent;
                else if (GnuTls.IsFatal((int)sent) != 0) throw Broken("write to", (int)sent);
            }
        }
    }

    /// <summary>Says goodbye, so that the other side knows that nothing was cut off.</summary>
    public void SayGoodbye() => _ = GnuTls.Bye(_session, 1);   // nothing to be done where it is gone

    /// <summary>Nobody sends or receives any more.</summary>
    public void Dispose()
    {
        if (_isDisposed) return;
        _isDisposed = true;
        GnuTls.Deinit(_session);
        _credentials.DangerousRelease();
        _self.Free();
    }

    private string WithPeer(Func<nint, string, string> use, string argument)
    {
        GnuTls.Datum* peers = GnuTls.GetPeers(_session, out uint count);
        if (peers is null || count == 0) throw new BlockException(BlockErrorKind.Denied, "No certificate peers");
        Check(GnuTls.CertificateInit(out nint certificate), "Cannot initialize certificate: ");
        try
        {
            Check(GnuTls.CertificateImport(certificate, peers, GnuTls.Der), "Cannot import certificate: ");
            return use(certificate, argument);
        }
        finally
        {
            GnuTls.CertificateDeinit(certificate);
        }
    }

    private static void Check(int result, string what)
    {
        if (result < 0) throw new BlockException(BlockErrorKind.Denied, what + GnuTls.TextOf(result));
    }

    private Exception Failure(int error, string what)
        => _channelFailure is { } failure
            ? new IOException(what + failure.Message, failure)
            : new BlockException(BlockErrorKind.Denied, what + GnuTls.TextOf(error));

    private IOException Broken(string what, int error)
    {
        string reason = error == GnuTls.PrematureTermination ? "Software caused connection abort"
            : _channelFailure is { } failure ? failure.Message
            : GnuTls.TextOf(error);
        return new IOException($"Cannot {what} TLS channel: {reason}");
    }

    // ---- Called by GnuTLS; nothing is thrown through it

    [UnmanagedCallersOnly]
    private static nint Push(nint pointer, byte* data, nuint length)
    {
        var session = (GnuTlsSession)GCHandle.FromIntPtr(pointer).Target!;
        try
        {
            session._channel.Send(new ReadOnlySpan<byte>(data, (int)length));
            return (nint)length;
        }
        catch (Exception e)
        {
            return session.Fail(e);
        }
    }

    [UnmanagedCallersOnly]
    private static nint Pull(nint pointer, byte* data, nuint length)
    {
        var session = (GnuTlsSession)GCHandle.FromIntPtr(pointer).Target!;
        try
        {
            return session._channel.Receive(new Span<byte>(data, (int)length));
        }
        catch (Exception e)
        {
            return session.Fail(e);
        }
    }

    private nint Fail(Exception failure)
    {
        _channelFailure = failure;
        GnuTls.SetErrno(_session, Eio);
        return -1;
    }
}
