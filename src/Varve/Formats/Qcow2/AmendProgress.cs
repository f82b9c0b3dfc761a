namespace Varve.Formats.Qcow2;

/// <summary>The progress of several operations as one: how large those to come are is guessed from the present one.</summary>
/// <param name="report">Told done and total.</param>
/// <param name="operationCount">How many there will be.</param>
internal sealed class AmendProgress(Action<long, long>? report, int operationCount)
{
    private long _before, _total;
    private int _left = operationCount;

    /// <summary>The next operation begins.</summary>
    public void Begin()
    {
        _before += _total;
        _total = 0;
        _left--;
    }

    /// <summary>Of the present operation, <paramref name="done"/> of <paramref name="total"/> is done.</summary>
    public void Report(long done, long total)
    {
        _total = total;
        report?.Invoke(_before + done, _before + total + total * _left);
    }
}
