using System.Diagnostics.CodeAnalysis;

namespace Varve.Formats;

/// <summary>Why bytes are not a structure we accept: the outcome of a <c>TryRead</c>, null when they are.</summary>
/// <param name="Kind">What an exception about it would be classified as.</param>
/// <param name="Message">In the reference's words where it has some.</param>
internal sealed record FormatError(BlockErrorKind Kind, string Message)
{
    public static FormatError Invalid(string message) => new(BlockErrorKind.Invalid, message);

    public static FormatError Unsupported(string message) => new(BlockErrorKind.Unsupported, message);

    public static FormatError TooLarge(string message) => new(BlockErrorKind.TooLarge, message);

    public BlockException ToException(string nodeName) => new(Kind, Message) { NodeName = nodeName };

    [DoesNotReturn]
    public void Throw(string nodeName) => throw ToException(nodeName);
}
