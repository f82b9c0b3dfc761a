namespace Varve.Cli.Output;

/// <summary>What <c>--version</c> says.</summary>
internal static class ToolVersion
{
    /// <summary>Varve's own version.</summary>
    public static string Own { get; } = typeof(ToolVersion).Assembly.GetName().Version!.ToString(fieldCount: 3);

    /// <summary>The version whose behaviour the tools have: scripts decide by it what they may use.</summary>
    public const string Compatible = "8.2.0";

    public const string Copyright = "Copyright (c) Varve contributors; MIT license";

    /// <summary>The lines a tool prints: <c>qemu-img version 8.2.0 (Varve 0.1.0)</c>.</summary>
    public static string Lines(string programName) => $"{programName} version {Compatible} (Varve {Own})\n{Copyright}\n";
}
