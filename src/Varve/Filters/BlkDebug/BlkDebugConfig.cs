using System.Text;
using System.Text.Json.Nodes;

namespace Varve.Filters.BlkDebug;

/// <summary>A configuration file of rules: a section a rule, <c>[inject-error]</c> or <c>[set-state]</c>, then <c>key = "value"</c> lines.</summary>
internal static class BlkDebugConfig
{
    private const int MaxLength = 1 << 20;

    /// <summary>Adds the rules of a file.</summary>
    /// <exception cref="BlockException">The file cannot be read, or a line is not understood; the message is the reference's.</exception>
    public static void Read(string path, BlkDebugRules rules)
    {
        string[] lines;
        try
        {
            lines = ReadText(path).Split('\n');
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not BlockException)
        {
            int errno = e is UnauthorizedAccessException ? Errno.EACCES : e is FileNotFoundException or DirectoryNotFoundException ? Errno.ENOENT : Errno.EIO;
            throw new BlockException(Errno.KindOf(errno), $"Could not read blkdebug config file: {Errno.Text(errno)}", e) { Errno = errno };
        }

        string? section = null;
        JsonObject rule = [];
        foreach (string text in lines)
        {
            string line = text.Trim();
            if (line.Length == 0 || line[0] == '#') continue;
            if (line[0] == '[')
            {
                Add(section, rule, rules);
                section = line.Trim('[', ']').Trim();
                rule = [];
                if (section is not ("inject-error" or "set-state")) throw Wrong($"There is no option group '{section}'");
                continue;
            }

            int equals = line.IndexOf('=', StringComparison.Ordinal);
            if (section is null) throw Wrong("no group defined");
            if (equals < 0) throw Wrong("parse error");
            rule[line[..equals].Trim()] = line[(equals + 1)..].Trim().Trim('"');
        }

        Add(section, rule, rules);
    }

    private static string ReadText(string path)
    {
        byte[] bytes = new byte[MaxLength + 1];
        using FileStream file = File.OpenRead(path);
        int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        return length <= MaxLength ? Encoding.UTF8.GetString(bytes, 0, length) : throw Wrong($"blkdebug config file '{path}' is longer than {MaxLength} bytes");
    }

    private static BlockException Wrong(string what) => new(BlockErrorKind.Invalid, what);

    private static void Add(string? section, JsonObject rule, BlkDebugRules rules)
    {
        if (section is not null && BlkDebugDriver.FindUnknownMember(section, rule) is { } unknown) throw Wrong($"Invalid parameter '{unknown}'");
        if (section == "inject-error") rules.Add(BlkDebugDriver.ReadInjectError(rule));
        else if (section == "set-state") rules.Add(BlkDebugDriver.ReadSetState(rule));
    }
}
