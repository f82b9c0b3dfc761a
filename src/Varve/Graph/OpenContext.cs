namespace Varve.Graph;

/// <summary>What holds for a whole chain while it is opened: whose names may be followed, and how far.</summary>
internal sealed record OpenContext
{
    /// <summary>Which files named inside an image (backing, data file) may be opened.</summary>
    public ReferencePolicy References { get; init; } = ReferencePolicy.Nothing;

    /// <summary>The file that was last allowed because an image names it; null where every name is followed.</summary>
    public AllowedFile? Allowed { get; init; }

    /// <summary>Do not open backing images at all (<c>img info</c>).</summary>
    public bool NoBacking { get; init; }

    /// <summary>Read the metadata only; guest data is not asked for, so no permission for it is needed.</summary>
    public bool NoIO { get; init; }

    /// <summary>Told, without a program's name, what the person who gave the names should know: a format guessed to be raw.</summary>
    public Action<string>? Warn { get; init; }

    /// <summary>Told what drivers made for tests print where a tool runs them: a request that <c>blkdebug</c> suspended.</summary>
    public Action<string>? Say { get; init; }

    /// <summary>Told what is wrong with an image that opens all the same; tools print it as their own warning.</summary>
    public Action<string>? WarnOfImage { get; init; }

    /// <summary>Told when a driver that compares two images finds a difference; a tool for tests ends the process then, as the reference does.</summary>
    public Action<string>? OnMismatch { get; init; }

    /// <summary>The image is opened to be checked: formats open what they would otherwise refuse or repair first.</summary>
    public bool ForCheck { get; init; }

    /// <summary>Images above the one being opened.</summary>
    public int Depth { get; init; }

    /// <summary>The longest chain that is opened: beyond it an error says so.</summary>
    public int MaxDepth { get; init; } = 1024;

    /// <summary>Names of images being opened above this one: one that comes again is a loop.</summary>
    public IReadOnlyList<string> Above { get; init; } = [];
}
