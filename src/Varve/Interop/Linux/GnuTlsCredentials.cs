using System.Runtime.InteropServices;

namespace Varve.Interop.Linux;

/// <summary>Credentials that GnuTLS has loaded; freed when the last session that uses them has ended.</summary>
internal sealed class GnuTlsCredentials : SafeHandle
{
    private readonly Action<nint> _free;

    private GnuTlsCredentials(nint handle, int type, Action<nint> free) : base(0, ownsHandle: true)
    {
        (Type, _free) = (type, free);
        SetHandle(handle);
    }

    /// <summary>One of GnuTLS's kinds.</summary>
    public int Type { get; }

    public override bool IsInvalid => handle == 0;

    protected override bool ReleaseHandle()
    {
        _free(handle);
        return true;
    }

    /// <summary>Certificates: of the authorities, revoked ones, and one's own with its key. Null: none.</summary>
    public static GnuTlsCredentials Certificates(string authorities, string? revoked, (string Certificate, string Key)? own, string? password)
    {
        Check(GnuTls.AllocateCertificates(out nint handle), "Cannot allocate credentials: ");
        var made = new GnuTlsCredentials(handle, GnuTls.CertificateCredentials, GnuTls.FreeCertificates);
        return made.Fill(() =>
        {
            Check(GnuTls.SetTrust(handle, authorities, GnuTls.Pem), $"Cannot load CA certificate '{authorities}': ");
            if (revoked is not null) Check(GnuTls.SetRevocations(handle, revoked, GnuTls.Pem), $"Cannot load CRL '{revoked}': ");
            if (own is { } pair)
            {
                Check(GnuTls.SetKey(handle, pair.Certificate, pair.Key, GnuTls.Pem, password, 0), $"Cannot load certificate '{pair.Certificate}' & key '{pair.Key}': ");
            }
        });
    }

    /// <summary>A server's pre-shared keys, looked up in a file when a client comes.</summary>
    public static GnuTlsCredentials PskServer(string file)
    {
        Check(GnuTls.AllocatePskServer(out nint handle), "Cannot allocate credentials: ");
        var made = new GnuTlsCredentials(handle, GnuTls.PskCredentials, GnuTls.FreePskServer);
        return made.Fill(() => Check(GnuTls.SetPskFile(handle, file), "Cannot set PSK server credentials: "));
    }

    /// <summary>A client's name and key.</summary>
    public static GnuTlsCredentials PskClient(string user, byte[] hexKey)
    {
        Check(GnuTls.AllocatePskClient(out nint handle), "Cannot allocate credentials: ");
        var made = new GnuTlsCredentials(handle, GnuTls.PskCredentials, GnuTls.FreePskClient);
        return made.Fill(() => Check(GnuTls.SetPskKey(handle, user, hexKey), "Cannot set PSK client credentials: "));
    }

    /// <summary>Nobody shows who he is.</summary>
    public static GnuTlsCredentials Anonymous(bool isServer)
    {
        nint handle;
        Check(isServer ? GnuTls.AllocateAnonymousServer(out handle) : GnuTls.AllocateAnonymousClient(out handle), "Cannot allocate credentials: ");
        return new GnuTlsCredentials(handle, GnuTls.AnonymousCredentials, isServer ? GnuTls.FreeAnonymousServer : GnuTls.FreeAnonymousClient);
    }

    /// <summary>From when until when a certificate in a file is valid, in seconds since 1970.</summary>
    public static unsafe (long From, long Until) ValidityOf(string file)
    {
        byte[] bytes = File.ReadAllBytes(file);
        Check(GnuTls.CertificateInit(out nint certificate), "Cannot initialize certificate: ");
        try
        {
            fixed (byte* data = bytes)
            {
                var datum = new GnuTls.Datum { Data = data, Size = (uint)bytes.Length };
                Check(GnuTls.CertificateImport(certificate, &datum, GnuTls.Pem), $"Unable to import certificate {file}: ");
            }

            return (GnuTls.CertificateActivation(certificate), GnuTls.CertificateExpiration(certificate));
        }
        finally
        {
            GnuTls.CertificateDeinit(certificate);
        }
    }

    private GnuTlsCredentials Fill(Action load)
    {
        try
        {
            load();
            return this;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private static void Check(int result, string what)
    {
        if (result < 0) throw new BlockException(BlockErrorKind.Invalid, what + GnuTls.TextOf(result));
    }
}
