using Microsoft.Win32.SafeHandles;

namespace Varve.Qmp.Server;

/// <summary>What commands may ask of, and do to, the client that sent them.</summary>
internal interface IQmpClientState
{
    /// <summary>Whether the capabilities have been negotiated.</summary>
    bool IsNegotiated { get; }

    /// <summary>Ends the negotiation: from the reply on, all commands are accepted and events are sent.</summary>
    void Negotiate(bool outOfBand);

    /// <summary>Takes the oldest descriptor that came with the commands so far; null when there is none.</summary>
    SafeFileHandle? TakeDescriptor();
}
