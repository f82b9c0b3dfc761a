using System.Globalization;
using System.Text.Json.Nodes;

namespace Varve.Nbd.Client;

/// <summary>Names of exports: <c>nbd:HOST:PORT[:exportname=NAME]</c>, <c>nbd:unix:PATH[:exportname=NAME]</c>, and URIs.</summary>
/// <remarks>URIs as the NBD project's doc/uri.md has them, in the forms <c>nbd</c>, <c>nbd+tcp</c> and <c>nbd+unix</c>.</remarks>
internal static class NbdFilename
{
    private const string Prefix = "nbd:", UnixPrefix = "unix:", ExportName = ":exportname=";

    /// <summary>The driver's options that a name stands for.</summary>
    /// <exception cref="BlockException">It is none.</exception>
    public static JsonObject Parse(string name)
        => name.Contains("://", StringComparison.Ordinal) ? ParseUri(name)
            : name.StartsWith(Prefix, StringComparison.Ordinal) ? ParseOld(name[Prefix.Length..])
            : throw Invalid("File name string for NBD must start with 'nbd:'");

    private static JsonObject ParseOld(string text)
    {
        var options = new JsonObject();
        int exportAt = text.IndexOf(ExportName, StringComparison.Ordinal);
        if (exportAt >= 0)
        {
            if (text[(exportAt + ExportName.Length)..] is { Length: > 0 } export) options["export"] = export;
            text = text[..exportAt];
        }

        if (text.Length == 0) throw Invalid("NBD server address missing");
        if (text.StartsWith(UnixPrefix, StringComparison.Ordinal))
        {
            options["path"] = text[UnixPrefix.Length..];
            return options;
        }

        int hostEnd = text.StartsWith('[') ? text.IndexOf(']', StringComparison.Ordinal) + 1 : text.IndexOf(':', StringComparison.Ordinal);
        if (hostEnd < 0 || hostEnd >= text.Length - 1 || text[hostEnd] != ':') throw Invalid($"error parsing address '{text}'");
        options["host"] = text[..hostEnd].TrimStart('[').TrimEnd(']');
        options["port"] = text[(hostEnd + 1)..];
        return options;
    }

    private static JsonObject ParseUri(string name)
    {
        string scheme = name[..name.IndexOf("://", StringComparison.Ordinal)], rest = name[(scheme.Length + 3)..];
        rest = Before(rest, '#');
        string query = "";
        if (rest.IndexOf('?', StringComparison.Ordinal) is var mark and >= 0) (rest, query) = (rest[..mark], rest[(mark + 1)..]);
        string authority = Before(rest, '/'), path = rest[authority.Length..].TrimStart('/');
        if (authority.LastIndexOf('@') is var at and >= 0) authority = authority[(at + 1)..];   // a user means nothing here

        var options = new JsonObject();
        if (path.Length > 0) options["export"] = Uri.UnescapeDataString(path);
        if (scheme == "nbd+unix") AddSocket(options, authority, query);
        else AddHost(options, authority, query);
        return options;
    }

    private static void AddSocket(JsonObject options, string authority, string query)
    {
        string[] items = query.Split('&', ';');
        if (authority.Length > 0 || items.Length != 1 || !items[0].StartsWith("socket=", StringComparison.Ordinal)) throw NoUrl();
        options["path"] = Uri.UnescapeDataString(items[0]["socket=".Length..]);
    }

    private static void AddHost(JsonObject options, string authority, string query)
    {
        if (query.Length > 0) throw NoUrl();
        int hostEnd = authority.StartsWith('[') ? authority.IndexOf(']', StringComparison.Ordinal) + 1 : authority.LastIndexOf(':');
        if (hostEnd < 0) hostEnd = authority.Length;
        string host = authority[..hostEnd].TrimStart('[').TrimEnd(']'), port = authority[hostEnd..].TrimStart(':');
        if (host.Length == 0) throw NoUrl();
        options["host"] = Uri.UnescapeDataString(host);
        if (port.Length == 0) port = "10809";
        options["port"] = ushort.TryParse(port, NumberStyles.None, CultureInfo.InvariantCulture, out _) ? port : throw NoUrl();
    }

    private static string Before(string text, char end) => text.IndexOf(end, StringComparison.Ordinal) is var i and >= 0 ? text[..i] : text;

    private static BlockException NoUrl() => Invalid("No valid URL specified");

    private static BlockException Invalid(string message) => new(BlockErrorKind.Invalid, message);
}
