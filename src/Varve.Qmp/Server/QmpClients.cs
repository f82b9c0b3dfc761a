using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Varve.Qmp.Json;

namespace Varve.Qmp.Server;

/// <summary>The clients that have negotiated, over all monitors: each is told every event.</summary>
internal sealed class QmpClients
{
    private readonly Lock _lock = new();
    private ImmutableArray<QmpSession> _sessions = [];

    /// <summary>Whether nobody is connected and has negotiated.</summary>
    public bool IsEmpty
    {
        get { lock (_lock) return _sessions.IsEmpty; }
    }

    public void Add(QmpSession session)
    {
        lock (_lock) _sessions = _sessions.Add(session);
    }

    /// <summary>Takes a client off, if it had negotiated.</summary>
    /// <returns>Whether it was the last. Asked in one step: the next client may be there before a second question.</returns>
    public bool Remove(QmpSession session)
    {
        lock (_lock)
        {
            if (!_sessions.Contains(session)) return false;
            _sessions = _sessions.Remove(session);
            return _sessions.IsEmpty;
        }
    }

    /// <summary>Queues an event for every client. Does not wait for any of them.</summary>
    public void Send(QmpEvent happened)
    {
        // Under the lock, so that all clients see events in the same order.
        lock (_lock)
        {
            byte[]? line = null, pretty = null;
            foreach (QmpSession session in _sessions)
            {
                session.Send(session.IsPretty
                    ? pretty ??= QmpJson.ToLine(ToJson(happened), pretty: true)
                    : line ??= QmpJson.ToLine(ToJson(happened), pretty: false));
            }
        }
    }

    private static JsonObject ToJson(QmpEvent happened)
    {
        long microseconds = (happened.Timestamp - DateTimeOffset.UnixEpoch).Ticks / TimeSpan.TicksPerMicrosecond;
        var message = new JsonObject
        {
            ["timestamp"] = new JsonObject { ["seconds"] = microseconds / 1_000_000, ["microseconds"] = microseconds % 1_000_000 },
            ["event"] = happened.Name,
        };
        if (happened.Data is not null) message["data"] = happened.Data.DeepClone();
        return message;
    }
}
