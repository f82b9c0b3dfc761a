using Varve.Tests.Support;

namespace Varve.Tests.Nbd.Tls;

/// <summary>Certificates and keys for a test class, made by GnuTLS's own tools: two authorities, a server, three clients, two sets of keys.</summary>
public sealed class TlsFiles : IDisposable
{
    private readonly TempDirectory _directory = new();

    public TlsFiles()
    {
        if (!ReferenceTool.IsInstalled("certtool") || !ReferenceTool.IsInstalled("psktool")) return;   // the tests skip themselves
        Directory.CreateDirectory(_directory["made"]);
        string key = _directory["made/key.pem"];
        ReferenceTool.Run("certtool", "--generate-privkey", "--key-type=ecdsa", "--outfile", key);
        Authority("ca1", key);
        Authority("ca2", key);
        Certificate("server", "ca1", "server", key, "cn = server.example\ndns_name = server.example\nip_address = 127.0.0.1\ntls_www_server\nsigning_key\n");
        Certificate("client1", "ca1", "client", key, "cn = one\norganization = Example\ntls_www_client\nsigning_key\n");
        Certificate("client2", "ca1", "client", key, "cn = two\norganization = Example\ntls_www_client\nsigning_key\n");
        Certificate("stranger", "ca2", "client", key, "cn = stranger\ntls_www_client\nsigning_key\n");
        foreach (string name in (string[])["alice", "bob"])
        {
            Directory.CreateDirectory(_directory[name]);
            ReferenceTool.Run("psktool", "--username", name, "--pskfile", Path.Combine(_directory[name], "keys.psk"));
        }
    }

    /// <summary>The directory of one side.</summary>
    public string this[string name] => _directory[name];

    /// <summary>Skips the test where the files could not be made.</summary>
    public static void Need()
    {
        Tool.Need("certtool");
        Tool.Need("psktool");
    }

    public void Dispose() => _directory.Dispose();

    private void Authority(string name, string key)
    {
        string template = _directory[$"made/{name}.info"];
        File.WriteAllText(template, $"cn = {name}\nca\ncert_signing_key\n");
        ReferenceTool.Run("certtool", "--generate-self-signed", "--load-privkey", key, "--template", template, "--outfile", _directory[$"made/{name}.pem"]);
    }

    private void Certificate(string name, string authority, string side, string key, string text)
    {
        string template = _directory[$"made/{name}.info"], authorityFile = _directory[$"made/{authority}.pem"];
        Directory.CreateDirectory(_directory[name]);
        File.WriteAllText(template, text);
        ReferenceTool.Run(
            "certtool", "--generate-certificate", "--load-ca-privkey", key, "--load-ca-certificate", authorityFile, "--load-privkey", key,
            "--template", template, "--outfile", Path.Combine(_directory[name], $"{side}-cert.pem"));
        File.Copy(authorityFile, Path.Combine(_directory[name], "ca-cert.pem"));
        File.Copy(key, Path.Combine(_directory[name], $"{side}-key.pem"));
    }
}
