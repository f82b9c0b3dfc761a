namespace Varve.Qmp;

/// <summary>An error of QMP: what a server answers in place of a result.</summary>
/// <param name="errorClass">One of QMP's few classes; everything without a class of its own is <see cref="GenericError"/>.</param>
/// <param name="description">The text for people (<c>desc</c>).</param>
public sealed class QmpException(string errorClass, string description) : Exception(description)
{
    /// <summary>The class of errors that have no class of their own.</summary>
    public const string GenericError = "GenericError";

    /// <summary>The command is unknown, or not to be used now.</summary>
    public const string CommandNotFound = "CommandNotFound";

    /// <summary>No job of that name.</summary>
    public const string DeviceNotActive = "DeviceNotActive";

    /// <summary>No device or object of that name.</summary>
    public const string DeviceNotFound = "DeviceNotFound";

    /// <summary>QMP's <c>class</c>.</summary>
    public string ErrorClass { get; } = errorClass;

    internal static QmpException Generic(string description) => new(GenericError, description);
}
