namespace Varve.Graph;

internal sealed partial class BlockGraph
{
    /// <summary>How far a long piece of work that is no job has come: so many bytes, of so many. What is done may become less, where the
    /// work has several parts. Raised on the thread that does it; handlers return at once.</summary>
    public event Action<long, long>? Progressed;

    internal void OnProgress(long done, long total) => Progressed?.Invoke(done, total);
}
