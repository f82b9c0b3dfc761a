using System.Net.Sockets;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Qmp.Interop;
using Varve.Qmp.Json;

namespace Varve.Qmp;

/// <summary>A client of a QMP server: Varve's daemon, QEMU, qemu-storage-daemon.</summary>
/// <remarks>
/// Thread-safe. Commands may be sent while others are under way; the server answers them in order. Events are kept for
/// <see cref="ReadEventsAsync"/> and <see cref="WaitForEventAsync"/> from the moment of connecting, so that an event that comes
/// before somebody asks for it is not lost.
/// </remarks>
public sealed class QmpClient : IAsyncDisposable
{
    private readonly Stream _stream;
    private readonly Socket? _socket;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _sending = new(1, 1);
    private readonly Dictionary<long, TaskCompletionSource<JsonNode?>> _waiting = [];
    private readonly TaskCompletionSource<JsonObject> _greeting = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Queue<QmpEvent> _events = new();
    private readonly CancellationTokenSource _closing = new();
    private TaskCompletionSource _eventCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _ended;
    private Task _reading = Task.CompletedTask;
    private long _lastId;

    private QmpClient(Stream stream, Socket? socket)
    {
        _stream = stream;
        _socket = socket;
    }

    /// <summary>The server's greeting: <c>{"version": ..., "capabilities": [...]}</c>.</summary>
    public JsonObject Greeting { get; private set; } = [];

    /// <summary>Connects to a server on a unix socket and negotiates.</summary>
    /// <param name="path">The socket's path.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    public static Task<QmpClient> ConnectUnixAsync(string path, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        return ConnectAsync(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified), new UnixDomainSocketEndPoint(path), cancellationToken);
    }

    /// <summary>Connects to a server on a TCP port and negotiates.</summary>
    /// <param name="host">A name or an address.</param>
    /// <param name="port">The port.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="SocketException">Nobody listens there.</exception>
    public static Task<QmpClient> ConnectTcpAsync(string host, int port, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(host);
        return ConnectAsync(new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true }, new System.Net.DnsEndPoint(host, port), cancellationToken);
    }

    /// <summary>Speaks to a server over a stream, such as a process's standard input and output, and negotiates.</summary>
    /// <param name="stream">Both ways; closed with the client.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public static Task<QmpClient> ConnectAsync(Stream stream, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(stream);
        return StartAsync(new QmpClient(stream, null), cancellationToken);
    }

    private static async Task<QmpClient> ConnectAsync(Socket socket, System.Net.EndPoint endPoint, CancellationToken cancellationToken)
    {
        try
        {
            await socket.ConnectAsync(endPoint, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            socket.Dispose();
            throw;
        }

        return await StartAsync(new QmpClient(new NetworkStream(socket, ownsSocket: true), socket), cancellationToken).ConfigureAwait(false);
    }

    private static async Task<QmpClient> StartAsync(QmpClient client, CancellationToken cancellationToken)
    {
        try
        {
            client._reading = client.ReadAsync();
            client.Greeting = await client._greeting.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
            await client.ExecuteAsync("qmp_capabilities", cancellationToken: cancellationToken).ConfigureAwait(false);
            return client;
        }
        catch
        {
            await client.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Sends a command and waits for its result.</summary>
    /// <param name="command">Its name: <c>block-stream</c>.</param>
    /// <param name="arguments">Its arguments; not changed. Null for none.</param>
    /// <param name="cancellationToken">Ends the wait; the command itself may still be executed.</param>
    /// <returns>The member <c>return</c> of the reply.</returns>
    /// <exception cref="QmpException">The server refused; class and description are its own.</exception>
    /// <exception cref="IOException">The connection ended.</exception>
    public Task<JsonNode?> ExecuteAsync(string command, JsonObject? arguments = null, CancellationToken cancellationToken = default)
        => ExecuteAsync(command, arguments, descriptor: null, cancellationToken);

    /// <summary>Sends a command together with a descriptor: <c>getfd</c>, <c>add-fd</c>.</summary>
    /// <param name="command">Its name.</param>
    /// <param name="arguments">Its arguments; not changed. Null for none.</param>
    /// <param name="descriptor">The server gets a duplicate; the caller keeps its own. Only over unix sockets.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="NotSupportedException">The connection is no unix socket.</exception>
    public Task<JsonNode?> ExecuteWithDescriptorAsync(
        string command, JsonObject? arguments, SafeFileHandle descriptor, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(descriptor);
        if (_socket is not { AddressFamily: AddressFamily.Unix }) throw new NotSupportedException("Descriptors travel over unix sockets only.");
        return ExecuteAsync(command, arguments, descriptor, cancellationToken);
    }

    /// <summary>The events, from the first that nobody has read yet; ends when the connection does.</summary>
    /// <param name="cancellationToken">Ends the enumeration.</param>
    public async IAsyncEnumerable<QmpEvent> ReadEventsAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        while (true)
        {
            QmpEvent? next;
            Task came;
            lock (_lock)
            {
                came = _eventCame.Task;
                if (!_events.TryDequeue(out next) && _ended is not null) yield break;
            }

            if (next is not null) yield return next;
            else await came.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Waits for the first event that fits, looking also at those that came before and were not taken yet; it and those
    /// before it count as read.</summary>
    /// <param name="name">The event's name.</param>
    /// <param name="matches">What else must hold; null for anything.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    /// <exception cref="IOException">The connection ended first.</exception>
    public async Task<QmpEvent> WaitForEventAsync(
        string name, Func<QmpEvent, bool>? matches = null, CancellationToken cancellationToken = default)
    {
        await foreach (QmpEvent happened in ReadEventsAsync(cancellationToken).ConfigureAwait(false))
        {
            if (happened.Name == name && (matches is null || matches(happened))) return happened;
        }

        throw new IOException($"The connection ended before the event {name}.", _ended);
    }

    /// <summary>Waits until a job has reached a status: <c>concluded</c>, <c>ready</c>, <c>null</c>.</summary>
    /// <param name="id">The job's id.</param>
    /// <param name="status">QMP's <c>JobStatus</c>.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public Task<QmpEvent> WaitForJobStatusAsync(string id, string status, CancellationToken cancellationToken = default)
        => WaitForEventAsync(
            "JOB_STATUS_CHANGE", e => (string?)e.Data?["id"] == id && (string?)e.Data?["status"] == status, cancellationToken);

    /// <summary>Closes the connection; commands that wait fail.</summary>
    public async ValueTask DisposeAsync()
    {
        await _closing.CancelAsync().ConfigureAwait(false);
        await _stream.DisposeAsync().ConfigureAwait(false);
        await _reading.ConfigureAwait(false);
        _closing.Dispose();
        _sending.Dispose();
    }

    private async Task<JsonNode?> ExecuteAsync(string command, JsonObject? arguments, SafeFileHandle? descriptor, CancellationToken cancellationToken)
    {
        ArgumentException.ThrowIfNullOrEmpty(command);
        var reply = new TaskCompletionSource<JsonNode?>(TaskCreationOptions.RunContinuationsAsynchronously);
        long id;
        lock (_lock)
        {
            if (_ended is not null) throw new IOException("The QMP connection has ended.", _ended);
            id = ++_lastId;
            _waiting.Add(id, reply);
        }

        var message = new JsonObject { ["execute"] = command };
        if (arguments is not null) message["arguments"] = arguments.DeepClone();
        message["id"] = id;
        byte[] line = Encoding.UTF8.GetBytes(QmpJson.ToText(message) + "\n");
        await _sending.WaitAsync(cancellationToken).ConfigureAwait(false);
        try
        {
            // The descriptor travels with the first bytes; the rest follows as ordinary data.
            int sent = descriptor is null ? 0 : DescriptorPassing.Send(_socket!.SafeHandle, line, descriptor);
            await _stream.WriteAsync(line.AsMemory(sent), cancellationToken).ConfigureAwait(false);
            await _stream.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            _sending.Release();
        }

        return await reply.Task.WaitAsync(cancellationToken).ConfigureAwait(false);
    }

    private async Task ReadAsync()
    {
        var messages = new JsonMessageReader();
        byte[] buffer = new byte[16384];
        Exception? cause = null;
        try
        {
            while (await _stream.ReadAsync(buffer, _closing.Token).ConfigureAwait(false) is > 0 and int count)
            {
                foreach (JsonMessage message in messages.Feed(buffer.AsMemory(0, count)))
                {
                    if (message.Value is JsonObject members) Take(members);
                    else throw new InvalidDataException($"The QMP server sent something that is no message: {message.Error}");
                }
            }
        }
        catch (Exception e) when (e is IOException or InvalidDataException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            cause = e;
        }

        End(cause ?? new EndOfStreamException("The QMP server closed the connection."));
    }

    private void Take(JsonObject message)
    {
        if (message["QMP"] is JsonObject greeting)
        {
            _greeting.TrySetResult(greeting);
        }
        else if ((string?)message["event"] is { } name)
        {
            var happened = new QmpEvent(name, message["data"] as JsonObject, TimestampOf(message["timestamp"]));
            TaskCompletionSource came;
            lock (_lock)
            {
                _events.Enqueue(happened);
                came = _eventCame;
                _eventCame = new(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            came.SetResult();
        }
        else
        {
            Answer(message);
        }
    }

    private void Answer(JsonObject message)
    {
        TaskCompletionSource<JsonNode?>? reply = null;
        lock (_lock)
        {
            if (message["id"] is JsonValue id && id.TryGetValue(out long number)) _waiting.Remove(number, out reply);
        }

        if (message["error"] is JsonObject error)
        {
            var refused = new QmpException((string?)error["class"] ?? QmpException.GenericError, (string?)error["desc"] ?? "");
            reply?.TrySetException(refused);
        }
        else
        {
            reply?.TrySetResult(message["return"]);
        }
    }

    private void End(Exception cause)
    {
        TaskCompletionSource<JsonNode?>[] waiting;
        TaskCompletionSource came;
        lock (_lock)
        {
            _ended = cause;
            waiting = [.. _waiting.Values];
            _waiting.Clear();
            came = _eventCame;
        }

        _greeting.TrySetException(new IOException("The QMP connection ended before its greeting.", cause));
        foreach (TaskCompletionSource<JsonNode?> reply in waiting) reply.TrySetException(new IOException("The QMP connection has ended.", cause));
        came.TrySetResult();
    }

    private static DateTimeOffset TimestampOf(JsonNode? timestamp)
        => timestamp is null ? default
            : DateTimeOffset.UnixEpoch.AddSeconds((long)timestamp["seconds"]!).AddMicroseconds((long)timestamp["microseconds"]!);
}
