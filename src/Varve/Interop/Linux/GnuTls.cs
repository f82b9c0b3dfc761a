using System.Runtime.InteropServices;

namespace Varve.Interop.Linux;

/// <summary>What TLS needs of GnuTLS: <see href="https://www.gnutls.org/manual/"/>, "API reference". Loaded when the first of it is called.</summary>
/// <remarks>Calls return 0 (or a length), or a negative error that <see cref="TextOf"/> puts into words.</remarks>
internal static unsafe partial class GnuTls
{
    private const string Library = "libgnutls.so.30";

    // gnutls_init
    public const uint Server = 1, Client = 2;

    // gnutls_credentials_type_t
    public const int CertificateCredentials = 1, AnonymousCredentials = 2, PskCredentials = 4;

    // Errors
    public const int Again = -28, NoCertificate = -49, Interrupted = -52, PrematureTermination = -110;

    // gnutls_certificate_status_t
    public const uint Invalid = 1 << 1, Revoked = 1 << 5, SignerNotFound = 1 << 6, InsecureAlgorithm = 1 << 8, NotActivated = 1 << 9, Expired = 1 << 10;

    // gnutls_x509_crt_fmt_t
    public const int Der = 0, Pem = 1;

    // gnutls_psk_key_flags
    public const int HexKey = 1;

    /// <summary>Bytes with their length: gnutls_datum_t.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct Datum
    {
        public byte* Data;
        public uint Size;
    }

    public static string TextOf(int error) => Marshal.PtrToStringUTF8(ErrorText(error)) ?? $"error {error}";

    [LibraryImport(Library, EntryPoint = "gnutls_strerror")]
    private static partial nint ErrorText(int error);

    [LibraryImport(Library, EntryPoint = "gnutls_error_is_fatal")]
    public static partial int IsFatal(int error);

    // ---- Sessions

    [LibraryImport(Library, EntryPoint = "gnutls_init")]
    public static partial int Init(out nint session, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_deinit")]
    public static partial void Deinit(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_priority_set_direct", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetPriority(nint session, string priorities, nint errorPosition);

    [LibraryImport(Library, EntryPoint = "gnutls_credentials_set")]
    public static partial int SetCredentials(nint session, int type, nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_server_set_request")]
    public static partial void RequestCertificate(nint session, int request);

    [LibraryImport(Library, EntryPoint = "gnutls_transport_set_ptr")]
    public static partial void SetTransport(nint session, nint pointer);

    [LibraryImport(Library, EntryPoint = "gnutls_transport_set_push_function")]
    public static partial void SetPush(nint session, delegate* unmanaged<nint, byte*, nuint, nint> push);

    [LibraryImport(Library, EntryPoint = "gnutls_transport_set_pull_function")]
    public static partial void SetPull(nint session, delegate* unmanaged<nint, byte*, nuint, nint> pull);

    [LibraryImport(Library, EntryPoint = "gnutls_transport_set_errno")]
    public static partial void SetErrno(nint session, int errno);

    [LibraryImport(Library, EntryPoint = "gnutls_handshake")]
    public static partial int Handshake(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_record_send")]
    public static partial nint Send(nint session, byte* data, nuint length);

    [LibraryImport(Library, EntryPoint = "gnutls_record_recv")]
    public static partial nint Receive(nint session, byte* data, nuint length);

    [LibraryImport(Library, EntryPoint = "gnutls_record_check_pending")]
    public static partial nuint Pending(nint session);

    [LibraryImport(Library, EntryPoint = "gnutls_bye")]
    public static partial int Bye(nint session, int how);

    // ---- The other side's certificate

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_verify_peers2")]
    public static partial int VerifyPeers(nint session, out uint status);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_get_peers")]
    public static partial Datum* GetPeers(nint session, out uint count);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_init")]
    public static partial int CertificateInit(out nint certificate);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_deinit")]
    public static partial void CertificateDeinit(nint certificate);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_import")]
    public static partial int CertificateImport(nint certificate, Datum* data, int format);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_get_dn")]
    public static partial int CertificateName(nint certificate, byte* buffer, ref nuint size);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_check_hostname", StringMarshalling = StringMarshalling.Utf8)]
    public static partial uint CertificateMatches(nint certificate, string hostname);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_get_activation_time")]
    public static partial long CertificateActivation(nint certificate);

    [LibraryImport(Library, EntryPoint = "gnutls_x509_crt_get_expiration_time")]
    public static partial long CertificateExpiration(nint certificate);

    // ---- Credentials

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_allocate_credentials")]
    public static partial int AllocateCertificates(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_free_credentials")]
    public static partial void FreeCertificates(nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_set_x509_trust_file", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetTrust(nint credentials, string file, int format);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_set_x509_crl_file", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetRevocations(nint credentials, string file, int format);

    [LibraryImport(Library, EntryPoint = "gnutls_certificate_set_x509_key_file2", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetKey(nint credentials, string certificateFile, string keyFile, int format, string? password, uint flags);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_allocate_server_credentials")]
    public static partial int AllocatePskServer(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_free_server_credentials")]
    public static partial void FreePskServer(nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_set_server_credentials_file", StringMarshalling = StringMarshalling.Utf8)]
    public static partial int SetPskFile(nint credentials, string file);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_allocate_client_credentials")]
    public static partial int AllocatePskClient(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_free_client_credentials")]
    public static partial void FreePskClient(nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_psk_set_client_credentials", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SetPskKey(nint credentials, string user, Datum* key, int flags);

    [LibraryImport(Library, EntryPoint = "gnutls_anon_allocate_server_credentials")]
    public static partial int AllocateAnonymousServer(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_anon_free_server_credentials")]
    public static partial void FreeAnonymousServer(nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_anon_allocate_client_credentials")]
    public static partial int AllocateAnonymousClient(out nint credentials);

    [LibraryImport(Library, EntryPoint = "gnutls_anon_free_client_credentials")]
    public static partial void FreeAnonymousClient(nint credentials);

    /// <summary>A client's key, in hexadecimal digits.</summary>
    public static int SetPskKey(nint credentials, string user, ReadOnlySpan<byte> hexKey)
    {
        fixed (byte* data = hexKey)
        {
            var key = new Datum { Data = data, Size = (uint)hexKey.Length };
            return SetPskKey(credentials, user, &key, HexKey);
        }
    }
}
