namespace Varve.Nbd.Server;

/// <summary>What a client and the server agreed on in the handshake.</summary>
/// <param name="Export">What requests go to; the connection is attached to it.</param>
/// <param name="HasStructuredReplies">Reads are answered in chunks, errors carry a text.</param>
/// <param name="Contexts">What BLOCK_STATUS reports; empty: it is refused.</param>
internal sealed record NbdSession(NbdExport Export, bool HasStructuredReplies, IReadOnlyList<MetaContext> Contexts);
