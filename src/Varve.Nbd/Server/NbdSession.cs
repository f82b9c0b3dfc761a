using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>What a client and the server agreed on in the handshake.</summary>
/// <param name="Export">What requests go to; the connection is attached to it.</param>
/// <param name="Form">Whether reads are answered in chunks and errors carry a text, and how long lengths are.</param>
/// <param name="Contexts">What BLOCK_STATUS reports; empty: it is refused.</param>
internal sealed record NbdSession(NbdExport Export, HeaderForm Form, IReadOnlyList<MetaContext> Contexts);
