namespace Varve.Tests.Hostile;

/// <summary>An image made to do harm, and what we say to it.</summary>
/// <param name="Name">What it tries.</param>
/// <param name="Bytes">Its content.</param>
/// <param name="Verdict">Of an inspection.</param>
/// <param name="Code">A finding that the inspection reports.</param>
/// <param name="Error">Part of the error of opening it while nothing it names may be followed; null: it opens, and may be read.</param>
public sealed record HostileImage(string Name, byte[] Bytes, InspectionVerdict Verdict, string Code, string? Error)
{
    /// <summary>The format it is opened as.</summary>
    public string Format { get; init; } = "qcow2";

    public override string ToString() => Name;
}
