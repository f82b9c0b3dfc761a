using System.Runtime.CompilerServices;
using System.Text;
using Varve.IO;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <summary>A request that is, or may be, completed after the request loop went on: what it holds, and its reply.</summary>
/// <remarks>Pooled by its connection. Renting, starting and completing one allocates nothing.</remarks>
internal sealed class PendingRequest
{
    private const int MaxErrorText = 256;

    private readonly PendingRequests _owner;
    private readonly ReplyStream _replies;
    private readonly HeaderForm _form;
    private readonly Action _onCompleted;
    private readonly byte[] _short = new byte[MaxErrorReply];
    private RequestHeader _request;
    private ConfiguredValueTaskAwaitable.ConfiguredValueTaskAwaiter _awaiter;
    private SharedBuffer? _held;
    private IOBuffer? _own;
    private BlockStatusReply? _status;
    private Memory<byte> _readReply;

    public PendingRequest(PendingRequests owner, ReplyStream replies, HeaderForm form)
    {
        _owner = owner;
        _replies = replies;
        _form = form;
        _onCompleted = OnCompleted;
    }

    /// <summary>What it counts for in its connection's limit.</summary>
    public int HeldBytes { get; private set; }

    /// <summary>What is to be sent, once the request has completed.</summary>
    public ReadOnlyMemory<byte> Reply { get; private set; }

    /// <summary>How much of <see cref="Reply"/> has been sent.</summary>
    public int SentLength { get; set; }

    internal void Begin(in RequestHeader request, int heldBytes)
    {
        _request = request;
        HeldBytes = heldBytes;
        SentLength = 0;
    }

    /// <summary>Keeps a connection's buffer until the request is done: its data lies there.</summary>
    public void Keep(SharedBuffer buffer) => _held = buffer;

    /// <summary>Keeps a buffer of the request's own until it is done.</summary>
    public void Keep(IOBuffer buffer) => _own = buffer;

    /// <summary>Keeps the extents that a BLOCK_STATUS gathers.</summary>
    public void Keep(BlockStatusReply status) => _status = status;

    /// <summary>Where a read's reply comes: room for its header, then the data.</summary>
    public void ReplyIn(Memory<byte> room) => _readReply = room;

    /// <summary>Makes the reply, when the request has completed already; otherwise sends it when it will have.</summary>
    /// <returns>Whether <see cref="Reply"/> is ready: then the caller sends it and calls <see cref="Recycle"/>.</returns>
    public bool TryFinish(ValueTask running)
    {
        _awaiter = running.ConfigureAwait(false).GetAwaiter();
        if (_awaiter.IsCompleted)
        {
            Finish();
            return true;
        }

        _awaiter.UnsafeOnCompleted(_onCompleted);
        return false;
    }

    /// <summary>The reply has been sent: lets go what the request held, and the place it took.</summary>
    public void Recycle()
    {
        _held?.Release();
        _own?.Dispose();
        _status?.Dispose();
        (_held, _own, _status) = (null, null, null);
        (Reply, _readReply, _awaiter) = (default, default, default);
        _owner.Return(this);
    }

    private void OnCompleted()
    {
        Finish();
        _replies.SendLate(this);
    }

    private void Finish()
    {
        try
        {
            _awaiter.GetResult();
            Reply = ReplyOfSuccess();
        }
        catch (Exception e)   // whatever it is, the client gets its answer and the thread, which is another's, goes on
        {
            if (e is not BlockException) _owner.DefectFound?.Invoke(e);
            Reply = _short.AsMemory(0, WriteError(_short, _request, e, _form));
        }
    }

    private ReadOnlyMemory<byte> ReplyOfSuccess()
    {
        if (_request.Command == CommandType.Read && !_readReply.IsEmpty)
        {
            return _readReply[..ReadReply.Finish(_readReply.Span, _request, _form)];
        }

        if (_status is not null) return _status.Finish(_request.Cookie);
        return _short.AsMemory(0, WriteSuccess(_short, _request, _form));
    }

    /// <summary>Writes the reply of a request that failed; returns its length. <paramref name="reply"/> has room for a text.</summary>
    public static int WriteError(Span<byte> reply, in RequestHeader request, Exception failure, HeaderForm form)
        => WriteError(
            reply, request, failure is BlockException block ? NbdErrors.Of(block) : NbdError.InputOutput, failure.Message, form);

    /// <summary>Writes the reply of a request that is refused; returns its length.</summary>
    public static int WriteError(Span<byte> reply, in RequestHeader request, NbdError error, string text, HeaderForm form)
    {
        if (form == HeaderForm.Simple)
        {
            new SimpleReply(error, request.Cookie).WriteTo(reply);
            return SimpleReply.Size;
        }

        bool isExtended = form == HeaderForm.Extended;
        int header = ErrorChunk.SizeOf(isExtended);
        Encoding.UTF8.GetEncoder().Convert(
            text, reply.Slice(header, Math.Min(MaxErrorText, reply.Length - header)), flush: true, out _, out int length, out _);
        new ErrorChunk(request.Cookie, error, length, request.Offset).WriteTo(reply, isExtended);
        return header + length;
    }

    /// <summary>Writes the reply of a request that succeeded and has nothing to return; returns its length.</summary>
    /// <remarks>In the extended form there are no simple replies.</remarks>
    public static int WriteSuccess(Span<byte> reply, in RequestHeader request, HeaderForm form)
    {
        if (form == HeaderForm.Extended)
        {
            new ChunkHeader(ChunkFlags.Done, ChunkType.None, request.Cookie, 0, request.Offset).WriteTo(reply, isExtended: true);
            return ChunkHeader.ExtendedSize;
        }

        new SimpleReply(NbdError.None, request.Cookie).WriteTo(reply);
        return SimpleReply.Size;
    }

    /// <summary>Bytes that hold any error reply.</summary>
    public const int MaxErrorReply = ErrorChunk.ExtendedSize + MaxErrorText;
}
