using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Threading.Channels;
using Microsoft.Win32.SafeHandles;
using Varve.Options;
using Varve.Qmp.Commands;
using Varve.Qmp.Json;

namespace Varve.Qmp.Server;

// One client
//   Three loops, each with its own bound: reading (stops when 8 commands wait), executing (one command at a time, stops while the
//   client does not take its replies), sending. A command that touches the graph holds the control lock until its reply is
//   queued, so whatever the graph does next is told after the reply.

/// <summary>A client's conversation: greeting, negotiation, commands and replies, events.</summary>
internal sealed class QmpSession : IQmpClientState
{
    private const int MaxWaitingRequests = 8;
    private const int ReadSize = 4096;

    private readonly QmpContext _context;
    private readonly IByteChannel _channel;
    private readonly bool _pretty;
    private readonly QmpOutput _output = new();
    private readonly Channel<QmpRequest> _requests = Channel.CreateBounded<QmpRequest>(
        new BoundedChannelOptions(MaxWaitingRequests) { SingleReader = true, SingleWriter = true });
    private readonly Queue<SafeFileHandle> _descriptors = new();
    private readonly CancellationTokenSource _ended;
    private volatile bool _outOfBand, _isNegotiated;

    private QmpSession(QmpContext context, IByteChannel channel, bool pretty, CancellationToken cancellationToken)
    {
        _context = context;
        _channel = channel;
        _pretty = pretty;
        _ended = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
    }

    public bool IsNegotiated => _isNegotiated;

    /// <summary>Talks to a client until it leaves, falls too far behind, or the monitor ends.</summary>
    /// <param name="context">The host.</param>
    /// <param name="channel">The connection; closed at the end.</param>
    /// <param name="pretty">Indent what is sent.</param>
    /// <param name="cancellationToken">Ends the conversation after queued replies are sent.</param>
    public static async Task RunAsync(QmpContext context, IByteChannel channel, bool pretty, CancellationToken cancellationToken)
    {
        await using (channel.ConfigureAwait(false))
        {
            var session = new QmpSession(context, channel, pretty, cancellationToken);
            try
            {
                await session.RunAsync().ConfigureAwait(false);
            }
            finally
            {
                session._ended.Dispose();
                foreach (SafeFileHandle descriptor in session._descriptors) descriptor.Dispose();
            }
        }
    }

    public void Negotiate(bool outOfBand)
    {
        _outOfBand = outOfBand;
        _isNegotiated = true;
    }

    public SafeFileHandle? TakeDescriptor() => _descriptors.TryDequeue(out SafeFileHandle? descriptor) ? descriptor : null;

    /// <summary>Queues an event; a client that is too far behind is cut off.</summary>
    public void Send(byte[] line)
    {
        if (!_output.TryEnqueue(line)) _ended.Cancel();
    }

    public bool IsPretty => _pretty;

    private async Task RunAsync()
    {
        Send(QmpJson.ToLine(Greeting(), _pretty));
        using var sendingEnded = new CancellationTokenSource();
        Task sending = SendAsync(sendingEnded.Token), reading = ReadAsync();
        try
        {
            await ExecuteAsync().ConfigureAwait(false);
        }
        finally
        {
            if (_context.Clients.Remove(this)) _context.Graph.FdSets.RemoveUnused();   // nobody is left who could name them
            _output.Close();
            await _ended.CancelAsync().ConfigureAwait(false);
            // What was answered is still sent, if the client takes it soon.
            sendingEnded.CancelAfter(TimeSpan.FromSeconds(1));
            await reading.ConfigureAwait(false);
            await sending.ConfigureAwait(false);
        }
    }

    private static JsonObject Greeting() => new()
    {
        ["QMP"] = new JsonObject { ["version"] = QueryVersion.Version(), ["capabilities"] = new JsonArray("oob") },
    };

    private async Task SendAsync(CancellationToken cancellationToken)
    {
        try
        {
            await _output.SendAsync(_channel, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception e) when (IsEndOfConnection(e))
        {
            _output.Close();
            await _ended.CancelAsync().ConfigureAwait(false);
        }
    }

    private async Task ReadAsync()
    {
        var messages = new JsonMessageReader();
        var descriptors = new List<SafeFileHandle>();
        byte[] buffer = new byte[ReadSize];
        try
        {
            while (await _channel.ReadAsync(buffer, descriptors, _ended.Token).ConfigureAwait(false) is > 0 and int count)
            {
                foreach (JsonMessage message in messages.Feed(buffer.AsMemory(0, count)))
                {
                    QmpRequest request = QmpRequest.From(message, _outOfBand, [.. descriptors]);
                    descriptors.Clear();
                    if (request is { IsOutOfBand: true, Error: null }) await ReplyAsync(request).ConfigureAwait(false);
                    else await _requests.Writer.WriteAsync(request, _ended.Token).ConfigureAwait(false);
                }
            }
        }
        catch (Exception e) when (IsEndOfConnection(e))
        {
            // The client left without a word, or the session ends.
        }
        finally
        {
            foreach (SafeFileHandle descriptor in descriptors) descriptor.Dispose();
            _requests.Writer.TryComplete();
        }
    }

    private async Task ExecuteAsync()
    {
        try
        {
            await foreach (QmpRequest request in _requests.Reader.ReadAllAsync(_ended.Token).ConfigureAwait(false))
            {
                await _output.WaitForRoomAsync().WaitAsync(_ended.Token).ConfigureAwait(false);
                foreach (SafeFileHandle descriptor in request.Descriptors) _descriptors.Enqueue(descriptor);
                await ReplyAsync(request).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // The end of the session; a command that was under way has been answered, or its client is gone.
        }
    }

    private async ValueTask ReplyAsync(QmpRequest request)
    {
        QmpCommand? command = null;
        JsonObject? refusal = request.Error is { } error ? request.Refuse(QmpException.GenericError, error)
            : Find(request, out command);
        if (refusal is not null)
        {
            Send(QmpJson.ToLine(refusal, _pretty));
        }
        else if (command!.NeedsControlLock)
        {
            using IDisposable held = await _context.Graph.ControlLock.EnterAsync(_ended.Token).ConfigureAwait(false);
            Send(QmpJson.ToLine(await ExecuteAsync(command, request).ConfigureAwait(false), _pretty));
        }
        else
        {
            Send(QmpJson.ToLine(await ExecuteAsync(command, request).ConfigureAwait(false), _pretty));
            if (command.IsNegotiation && _isNegotiated) _context.Clients.Add(this);   // events come after the reply
        }
    }

    /// <summary>Looks the command up; returns the refusal where it is not to be run.</summary>
    private JsonObject? Find(QmpRequest request, out QmpCommand? command)
    {
        command = CommandTable.Find(request.Command);
        if (!_isNegotiated && command is not { IsNegotiation: true })
        {
            return request.Refuse(QmpException.CommandNotFound, "Expecting capabilities negotiation with 'qmp_capabilities'");
        }

        if (command is null) return request.Refuse(QmpException.CommandNotFound, $"The command {request.Command} has not been found");
        if (_isNegotiated && command.IsNegotiation && !request.IsOutOfBand)
        {
            return request.Refuse(QmpException.CommandNotFound, "Capabilities negotiation is already complete, command ignored");
        }

        return request.IsOutOfBand && !command.AllowsOutOfBand
            ? request.Refuse(QmpException.GenericError, $"The command {command.Name} does not support OOB")
            : null;
    }

    private async ValueTask<JsonObject> ExecuteAsync(QmpCommand command, QmpRequest request)
    {
        try
        {
            JsonObject arguments = OptionChecker.Check(command.Arguments, request.Arguments);
            // A command that has begun is finished even if its client leaves.
            return request.Reply(await command.ExecuteAsync(new QmpCall(_context, this, arguments), CancellationToken.None).ConfigureAwait(false));
        }
        catch (QmpException e)
        {
            return request.Refuse(e.ErrorClass, e.Message);
        }
        catch (Exception e) when (e is not OutOfMemoryException)
        {
            // A refusal (BlockException), or a defect of ours: then this command fails, and everything else goes on.
            return request.Refuse(QmpException.GenericError, e.Message);
        }
    }

    private static bool IsEndOfConnection(Exception e)
        => e is IOException or SocketException or OperationCanceledException or ObjectDisposedException or ChannelClosedException;
}
