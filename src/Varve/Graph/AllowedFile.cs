namespace Varve.Graph;

/// <summary>A file that a policy allowed to be opened because an image names it.</summary>
/// <remarks>Between the decision and the opening somebody may put a link, or another directory, in the file's place. So whoever opens it
/// compares what was opened with what was allowed.</remarks>
/// <param name="Name">The path it is opened by.</param>
/// <param name="RealPath">The canonical path that was judged.</param>
internal sealed record AllowedFile(string Name, string RealPath);
