namespace Varve.Nbd.Wire;

/// <summary>Which form requests and replies have on a connection.</summary>
internal enum HeaderForm
{
    /// <summary>Simple replies only.</summary>
    Simple,

    /// <summary>Replies may come in chunks.</summary>
    Structured,

    /// <summary>Chunks, and lengths of 64 bits.</summary>
    Extended,
}
