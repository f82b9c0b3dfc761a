using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <content>When the server is gone, and how it is found again.</content>
internal sealed partial class NbdClient
{
    /// <summary>What a timer takes at once; a delay may be 136 years.</summary>
    private static readonly TimeSpan s_longestWait = TimeSpan.FromDays(1);

    private long _outageBegan;
    private Task _attempts = Task.CompletedTask;
    private TaskCompletionSource _changed = NewChange();

    private async ValueTask<NbdClientConnection> WaitForServerAsync()
    {
        while (true)
        {
            Task changed;
            TimeSpan left;
            lock (_lock)
            {
                if (LeastLoaded() is { } connection) return connection;
                bool canAttempt = _options.Server.CanConnectAgain && !_closing.IsCancellationRequested;
                if (canAttempt && _attempts.IsCompleted) _attempts = Task.Run(AttemptAsync);
                left = _options.ReconnectDelay - _time.GetElapsedTime(_outageBegan);
                if (!canAttempt || left <= TimeSpan.Zero || _drains > 0) throw new BlockException(BlockErrorKind.Io, Errno.Text(Errno.EIO));
                changed = _changed.Task;
            }

            await Task.WhenAny(changed, Task.Delay(left < s_longestWait ? left : s_longestWait, _time)).ConfigureAwait(false);
        }
    }

    /// <summary>Tries to connect, once at least, until it worked or the delay has passed.</summary>
    private async Task AttemptAsync()
    {
        TimeSpan pause = s_firstPause;
        while (!_closing.IsCancellationRequested)
        {
            if (await TryConnectAsync().ConfigureAwait(false) is { } connection)
            {
                if (IsSame(connection.Export) && Begin(connection)) return;
                connection.Close();
            }

            if (_time.GetElapsedTime(_outageBegan) >= _options.ReconnectDelay) return;
            await Task.Delay(pause, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = Longer(pause, s_longestPause);
        }
    }

    private async Task<NbdClientConnection?> TryConnectAsync()
    {
        try
        {
            return await NbdClientConnection.OpenAsync(_options, OnEnded, _abandoning.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is BlockException or OperationCanceledException)
        {
            return null;   // not yet
        }
    }

    private bool IsSame(ExportDetails now)
    {
        const TransmissionFlags mayChange = TransmissionFlags.ReadOnly | TransmissionFlags.CanMultiConn;
        return now.Size == Export.Size && now.Form >= Export.Form && (~now.Flags & Export.Flags & ~mayChange) == 0
            && (now.Flags & TransmissionFlags.ReadOnly) <= (Export.Flags & TransmissionFlags.ReadOnly)
            && (now.StatusContextId is not null || Export.StatusContextId is null)
            && (now.BlockSizes?.Minimum ?? 1) <= (Export.BlockSizes?.Minimum ?? 1)
            && (now.BlockSizes?.Maximum ?? NbdLimits.MaxPayload) >= Math.Min(Export.BlockSizes?.Maximum ?? NbdLimits.MaxPayload, NbdLimits.MaxPayload);
    }

    private void Change()
    {
        _changed.TrySetResult();
        _changed = NewChange();
    }

    private static TaskCompletionSource NewChange() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static TimeSpan Longer(TimeSpan pause, TimeSpan limit) => pause * 2 < limit ? pause * 2 : limit;
}
