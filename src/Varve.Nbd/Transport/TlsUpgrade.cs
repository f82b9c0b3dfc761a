namespace Varve.Nbd.Transport;

/// <summary>Turns a connection that both sides have agreed to encrypt into an encrypted one.</summary>
/// <param name="transport">In the clear; the result owns it.</param>
/// <returns>The encrypted connection, its handshake done.</returns>
/// <exception cref="BlockException">The other side is not who it should be, or does not speak the same.</exception>
/// <exception cref="IOException">The connection broke.</exception>
internal delegate NbdTransport TlsUpgrade(NbdTransport transport);
