namespace Varve.Simulation;

/// <summary>An internal snapshot: what it must read as, and whether it must be there.</summary>
/// <param name="File">The image that has it.</param>
/// <param name="Name">Unique on the whole disk.</param>
/// <param name="Content">What the guest's disk held when it was taken.</param>
/// <param name="IsSure">It was created durably, and is not being deleted; otherwise it may be there, whole, or not at all.</param>
/// <param name="HasTail">Behind the guest's disk there may be something else than zeros.</param>
internal sealed record SnapshotModel(string File, string Name, byte[] Content, bool IsSure, bool HasTail);
