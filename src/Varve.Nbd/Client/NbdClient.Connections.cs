using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

/// <content>The connections that requests are spread over.</content>
internal sealed partial class NbdClient
{
    private static readonly TimeSpan s_longestPauseAfterUse = TimeSpan.FromSeconds(1);

    private volatile NbdClientConnection[] _connections = [];   // replaced, never changed; none: an outage
    private int _outages;
    private bool _isGrowing, _isRefused;
    private TimeSpan _growthPause;
    private Task _growth = Task.CompletedTask;

    private bool CanGrow
        => _connections is [var first, ..] && _connections.Length < _options.Connections && CanShare(first) && !_isRefused
           && _options.Server.CanConnectAgain && !_closing.IsCancellationRequested;

    private static bool CanShare(NbdClientConnection connection) => (connection.Export.Flags & TransmissionFlags.CanMultiConn) != 0;

    private NbdClientConnection? LeastLoaded()
    {
        NbdClientConnection? least = null;
        foreach (NbdClientConnection connection in _connections)
        {
            if (least is null || connection.InFlight < least.InFlight) least = connection;
        }

        return least;
    }

    /// <summary>Takes the first connection, at the beginning or after an outage.</summary>
    private bool Begin(NbdClientConnection first)
    {
        lock (_lock)
        {
            if (_closing.IsCancellationRequested) return false;
            (_connections, _isRefused, _growthPause) = ([first], false, TimeSpan.Zero);
            Change();
            Grow();
            return true;
        }
    }

    private bool TryJoin(NbdClientConnection further, int outages)
    {
        bool fits = IsSame(further.Export) && CanShare(further);
        lock (_lock)
        {
            if (_outages != outages || _closing.IsCancellationRequested) return false;
            if (further.IsBroken)
            {
                SlowDown(s_longestPauseAfterUse);   // it ended while it was no member: nobody would take it out again
                return false;
            }

            if (fits) _connections = [.. _connections, further];
            _isRefused = !fits;
            return fits;
        }
    }

    private void OnEnded(NbdClientConnection connection)
    {
        NbdClientConnection[] others;
        lock (_lock)
        {
            others = [.. _connections.Where(c => c != connection)];
            if (others.Length == _connections.Length) return;
            if (others.Length > 0 && !connection.HasUnansweredChange)
            {
                _connections = others;
                SlowDown(s_longestPauseAfterUse);   // the server does take more than one
                Grow();
                return;
            }

            (_connections, _outageBegan) = ([], _time.GetTimestamp());
            _outages++;
        }

        foreach (NbdClientConnection other in others) other.Break();
    }

    /// <summary>Under the lock: sees to it that further connections are opened.</summary>
    private void Grow()
    {
        if (_isGrowing || !CanGrow) return;
        _isGrowing = true;
        _growth = Task.Run(GrowAsync);
    }

    private async Task GrowAsync()
    {
        while (true)
        {
            int outages;
            TimeSpan pause;
            lock (_lock)
            {
                _isGrowing = CanGrow;
                if (!_isGrowing) return;
                (outages, pause) = (_outages, _growthPause);
            }

            await Task.Delay(pause, _time, _closing.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (_closing.IsCancellationRequested) continue;
            NbdClientConnection? further = await TryConnectAsync().ConfigureAwait(false);
            if (further is null) OnNotConnected(outages);
            else if (!TryJoin(further, outages)) further.Close();
        }
    }

    private void OnNotConnected(int outages)
    {
        lock (_lock)
        {
            if (_outages != outages) return;
            _isRefused = _growthPause == s_longestPause;
            SlowDown(s_longestPause);
        }
    }

    private void SlowDown(TimeSpan limit) => _growthPause = _growthPause == TimeSpan.Zero ? s_firstPause : Longer(_growthPause, limit);
}
