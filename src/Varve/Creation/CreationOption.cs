namespace Varve.Creation;

/// <summary>What values an option of <c>img create -o</c> takes.</summary>
internal enum CreationOptionType
{
    /// <summary>Any text.</summary>
    Text,

    /// <summary><c>on</c> or <c>off</c>.</summary>
    Switch,

    /// <summary>A number.</summary>
    Number,

    /// <summary>Bytes, with suffixes.</summary>
    Size,
}

/// <summary>An option of image creation, as the command line spells it (<c>cluster_size</c>, not <c>cluster-size</c>).</summary>
/// <param name="Name">As after <c>-o</c>.</param>
/// <param name="Type">What values it takes.</param>
/// <param name="Help">What <c>-o help</c> says.</param>
/// <param name="Default">What holds when it is not given, where tools show that; null otherwise.</param>
internal sealed record CreationOption(string Name, CreationOptionType Type, string Help, string? Default = null);
