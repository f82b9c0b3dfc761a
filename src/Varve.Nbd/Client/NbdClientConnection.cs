using System.Net.Sockets;
using Varve.IO;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Client;

// A connection in transmission
//   1. Requests are sent by whoever makes them, one after the other under _sending; a thread of the connection's own receives replies,
//      in whatever order they come, and fills the callers' memory.
//   2. A request is in _slots from before it is sent until its last chunk was received. The slot's number is the low byte of its
//      cookie, the rest counts: an answer to a request that is not waiting for one ends the connection.
//   3. The connection ends once: when the receiving thread stops. It says so, and then gives back every request without an answer;
//      later ones are given back at once.

/// <summary>One connection to a server, after the handshake.</summary>
internal sealed partial class NbdClientConnection
{
    /// <summary>Requests in flight; the caller sees to it that there are no more.</summary>
    public const int MaxInFlight = 64;

    /// <summary>Bytes of data up to which header and data are sent together.</summary>
    private const int MaxCopied = 64 << 10;

    private const int StackSize = 512 << 10;

    private readonly NbdTransport _transport;
    private readonly ReceiveStream _input;
    private readonly Lock _sending = new(), _slotLock = new();
    private readonly ClientRequest?[] _slots = new ClientRequest?[MaxInFlight];
    private readonly ulong[] _cookies = new ulong[MaxInFlight];
    private readonly byte[] _sendBuffer = new byte[RequestHeader.ExtendedSize + MaxCopied];
    private readonly Action<NbdClientConnection> _onEnded;
    private readonly Thread _receiver;
    private readonly bool _isExtended;
    private ulong _counter;
    private int _inFlight;
    private bool _isBroken, _hasEnded;

    private NbdClientConnection(ClientHandshake handshake, ExportDetails export, Action<NbdClientConnection> onEnded)
    {
        (_transport, _input, Export, _onEnded) = (handshake.Transport, handshake.Input, export, onEnded);
        _isExtended = export.Form == HeaderForm.Extended;
        _receiver = new Thread(Receive, StackSize) { IsBackground = true, Name = "nbd replies" };
    }

    /// <summary>What the server said about the export.</summary>
    public ExportDetails Export { get; }

    /// <summary>Whether the connection is at its end. True before the client hears of it.</summary>
    public bool IsBroken => Volatile.Read(ref _isBroken);

    /// <summary>Requests that wait for an answer.</summary>
    public int InFlight => Volatile.Read(ref _inFlight);

    /// <summary>Whether it has ended with a request in flight that changes the export.</summary>
    public bool HasUnansweredChange { get; private set; }

    /// <summary>Why it ended, where the server was to blame.</summary>
    public string? Failure { get; private set; }

    /// <summary>Connects, negotiates and begins to receive.</summary>
    /// <param name="options">Where to, and which export.</param>
    /// <param name="onEnded">Told once, from the receiving thread, that the connection is no more, before requests are given back.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    /// <exception cref="BlockException">The server cannot be reached, or refuses.</exception>
    public static async Task<NbdClientConnection> OpenAsync(
        NbdClientOptions options, Action<NbdClientConnection> onEnded, CancellationToken cancellationToken)
    {
        Socket socket = await options.Server.ConnectAsync(cancellationToken).ConfigureAwait(false);
        var transport = new SocketTransport(socket);
        NbdClientConnection? connection = null;
        using (cancellationToken.Register(transport.Shutdown))
        {
            await BlockingThreads.Shared.RunAsync(() => connection = Negotiate(transport, options, onEnded)).ConfigureAwait(false);
        }

        return connection!;
    }

    /// <summary>Connects, asks what there is, and leaves.</summary>
    public static async Task<List<ExportDetails>> ListAsync(NbdClientOptions options, CancellationToken cancellationToken)
    {
        Socket socket = await options.Server.ConnectAsync(cancellationToken).ConfigureAwait(false);
        List<ExportDetails> exports = [];
        await BlockingThreads.Shared.RunAsync(() =>
        {
            using var handshake = new ClientHandshake(new SocketTransport(socket), options);
            try
            {
                exports = handshake.ListDetails();
            }
            finally
            {
                handshake.Transport.Dispose();
            }
        }).ConfigureAwait(false);
        return exports;
    }

    /// <summary>Negotiates over a connection that is there, and begins to receive. Waits for the server on this thread.</summary>
    public static NbdClientConnection Negotiate(NbdTransport transport, NbdClientOptions options, Action<NbdClientConnection> onEnded)
    {
        var handshake = new ClientHandshake(transport, options);
        try
        {
            ExportDetails export = handshake.Go();
            handshake.Transport.SetTimeout(TimeSpan.Zero);
            var connection = new NbdClientConnection(handshake, export, onEnded);
            connection._receiver.Start();
            return connection;
        }
        catch (Exception e)
        {
            handshake.Transport.Dispose();
            handshake.Dispose();
            if (e is IOException and not BlockException) throw new BlockException(BlockErrorKind.Io, e.Message, e);
            throw;
        }
    }

    /// <summary>Sends a request. Done with its answer, or with false when the connection ended before one came.</summary>
    public ValueTask<bool> SendAsync(ClientRequest request)
    {
        request.Begin();
        ValueTask<bool> answered = request.Task;
        if (TryTakeSlot(request) is { } cookie) Send(request, cookie);
        else request.OnAnswered(isLost: true);
        request.OnSent();
        return answered;
    }

    /// <summary>Ends the connection in good order: no request is in flight.</summary>
    public void Close()
    {
        lock (_sending)
        {
            if (!_isBroken)
            {
                Span<byte> header = _sendBuffer.AsSpan(0, RequestHeader.SizeOf(_isExtended));
                new RequestHeader(CommandType.Disconnect, CommandFlags.None, 0, 0, 0).WriteTo(header, _isExtended);
                try
                {
                    _transport.SetTimeout(TimeSpan.FromSeconds(1));   // a server that does not read any more is not waited for
                    _transport.Send(header);
                    _transport.SayGoodbye();
                }
                catch (IOException)
                {
                    // Gone already.
                }
            }
        }

        Break();
        _receiver.Join();
    }

    /// <summary>Ends the connection at once; requests in flight are given back without an answer.</summary>
    public void Break()
    {
        Volatile.Write(ref _isBroken, true);
        _transport.Shutdown();
    }

    // ---- Sending

    private ulong? TryTakeSlot(ClientRequest request)
    {
        lock (_slotLock)
        {
            if (_hasEnded) return null;
            int slot = Array.IndexOf(_slots, null);
            _slots[slot] = request;
            _inFlight++;
            return _cookies[slot] = (++_counter << 8) | (uint)slot;
        }
    }

    private void Send(ClientRequest request, ulong cookie)
    {
        RequestHeader header = request.Header with { Cookie = cookie };
        if (_isExtended && header.Command == CommandType.Write) header = header with { Flags = header.Flags | CommandFlags.PayloadLength };
        lock (_sending)
        {
            if (Volatile.Read(ref _isBroken)) return;   // the receiving thread gives the request back
            try
            {
                int size = RequestHeader.SizeOf(_isExtended);
                header.WriteTo(_sendBuffer, _isExtended);
                ReadOnlySpan<byte> data = request.Data.Span;
                if (data.Length <= MaxCopied)
                {
                    data.CopyTo(_sendBuffer.AsSpan(size));
                    _transport.Send(_sendBuffer.AsSpan(0, size + data.Length));
                }
                else
                {
                    _transport.Send(_sendBuffer.AsSpan(0, size));
                    _transport.Send(data);
                }
            }
            catch (IOException)
            {
                Break();
            }
        }
    }

    // ---- The end

    private void Receive()
    {
        try
        {
            ReceiveReplies();
        }
        catch (BlockException e)
        {
            Failure = e.Message;
        }
        catch (IOException)
        {
            // The connection broke: what was on its way is given back.
        }

        Break();
        lock (_slotLock) (_hasEnded, HasUnansweredChange) = (true, Array.Exists(_slots, r => r?.IsChange == true));
        _onEnded(this);
        foreach (ClientRequest? request in _slots) request?.OnAnswered(isLost: true);
        lock (_sending) _transport.Dispose();
        _input.Dispose();
    }
}
