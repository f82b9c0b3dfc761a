using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <summary>What a server says about an export.</summary>
internal sealed record ExportDetails(string Name)
{
    public string? Description { get; init; }

    /// <summary>Bytes.</summary>
    public long Size { get; init; }

    public TransmissionFlags Flags { get; init; }

    /// <summary>Bytes: requests are multiples of <c>Minimum</c>, at best of <c>Preferred</c>. Null: the server did not say.</summary>
    public BlockSizeInfo? BlockSizes { get; init; }

    public HeaderForm Form { get; init; }

    /// <summary>The context that was selected for block status; null: the server knows none.</summary>
    public uint? StatusContextId { get; init; }

    /// <summary>The names of all contexts, in a list.</summary>
    public IReadOnlyList<string> Contexts { get; init; } = [];
}
