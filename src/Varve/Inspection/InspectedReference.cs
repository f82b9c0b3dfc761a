namespace Varve;

/// <summary>What the text by which an image names another file means when it is opened.</summary>
public enum ReferenceKind
{
    /// <summary>A path, relative to the image or absolute.</summary>
    Path,

    /// <summary>A name with a protocol in front: a socket, a URL, a filter.</summary>
    Protocol,

    /// <summary>A <c>json:</c> description: any graph of any drivers.</summary>
    Json,

    /// <summary>Another file is needed, and the image does not say which.</summary>
    Unnamed,
}

/// <summary>Another file that an image needs. It was not looked at.</summary>
/// <param name="Role"><c>backing</c>, <c>data-file</c>, <c>extent</c>.</param>
/// <param name="Name">As the image has it; text from the image is not escaped.</param>
/// <param name="Format">The format the image says it has; null: it would be guessed.</param>
/// <param name="Kind">What the name means.</param>
public sealed record InspectedReference(string Role, string Name, string? Format, ReferenceKind Kind);
