using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.IO;
using Varve.Nbd.Wire;

namespace Varve.Nbd.Server;

/// <content>What is refused, and the commands beside READ and WRITE.</content>
internal sealed partial class NbdTransmission
{
    /// <summary>What a request breaks, if anything: NBD protocol, "Request types" and "Error values".</summary>
    private (NbdError Error, string Text)? Refusal(in RequestHeader request)
    {
        bool isWrite = false;
        bool hasRange = true;
        CommandFlags valid = CommandFlags.Fua;   // existing clients set it everywhere
        switch (request.Command)
        {
            case CommandType.Read:
                if (_form != HeaderForm.Simple) valid |= CommandFlags.DontFragment;
                break;
            case CommandType.Write:
                isWrite = true;
                if (_form == HeaderForm.Extended) valid |= CommandFlags.PayloadLength;
                break;
            case CommandType.Trim:
                isWrite = true;
                break;
            case CommandType.WriteZeroes:
                isWrite = true;
                valid |= CommandFlags.NoHole | CommandFlags.FastZero;
                break;
            case CommandType.Flush:
                hasRange = false;
                break;
            case CommandType.Cache:
                break;
            case CommandType.BlockStatus:
                valid |= CommandFlags.RequestOne;
                if (HasPayload(request)) return PayloadRefusal(request);
                if (_session.Contexts.Count == 0) return (NbdError.Invalid, "No metadata context was selected");
                if (request.Length == 0) return (NbdError.Invalid, "Block status of nothing");
                break;
            default:
                return (NbdError.Invalid, "Unknown command");
        }

        if (isWrite && !_session.Export.IsWritable) return (NbdError.PermissionDenied, "Export is read-only");
        if ((request.Flags & ~valid) != 0) return (NbdError.Invalid, "Unsupported command flags");
        if (!hasRange) return null;
        if (request.Command is CommandType.Read or CommandType.Write or CommandType.Cache && request.Length > NbdLimits.MaxPayload)
        {
            return (NbdError.Invalid, "Request is larger than 32 MiB");
        }

        ulong size = (ulong)_backend.Length;
        if (request.Offset > size || request.Length > size - request.Offset)
        {
            return (isWrite && request.Command != CommandType.Trim ? NbdError.NoSpace : NbdError.Invalid, "Request ends after the end of the export");
        }

        return null;
    }

    private void Begin(in RequestHeader request)
    {
        PendingRequest pending = _pending.Rent(request, heldBytes: 0);
        ValueTask running;
        try
        {
            running = request.Command switch
            {
                CommandType.Flush => _backend.FlushAsync(),
                CommandType.Trim => TrimAsync(request),
                CommandType.WriteZeroes => _backend.WriteZeroesAsync((long)request.Offset, (long)request.Length, ZeroFlagsOf(request)),
                CommandType.Cache => CacheAsync(request),
                _ => StartBlockStatus(request, pending),
            };
        }
        catch (BlockException e)
        {
            running = ValueTask.FromException(e);
        }

        Finish(pending, running);
    }

    [AsyncMethodBuilder(typeof(PooledMethodBuilder))]
    private async ValueTask TrimAsync(RequestHeader request)
    {
        await _backend.DiscardAsync((long)request.Offset, (long)request.Length).ConfigureAwait(false);
        if ((WriteFlagsOf(request) & WriteFlags.Fua) != 0) await _backend.FlushAsync().ConfigureAwait(false);
    }

    private ZeroFlags ZeroFlagsOf(in RequestHeader request)
    {
        ZeroFlags flags = ZeroFlags.None;
        if ((request.Flags & CommandFlags.NoHole) == 0) flags |= ZeroFlags.MayUnmap;
        if ((request.Flags & CommandFlags.FastZero) != 0) flags |= ZeroFlags.NoFallback;
        if ((WriteFlagsOf(request) & WriteFlags.Fua) != 0) flags |= ZeroFlags.Fua;
        return flags;
    }

    /// <summary>Reads and forgets: what is cached below, or copied up by a filter, is then near.</summary>
    private async ValueTask CacheAsync(RequestHeader request)
    {
        if (request.Length == 0) return;
        using IOBuffer scratch = IOBuffer.Rent((int)Math.Min((long)request.Length, IOBuffer.MaxTransfer));
        for (long done = 0; done < (long)request.Length; done += scratch.Memory.Length)
        {
            int piece = (int)Math.Min(scratch.Memory.Length, (long)request.Length - done);
            await _backend.ReadAsync((long)request.Offset + done, scratch.Memory[..piece]).ConfigureAwait(false);
        }
    }

    private ValueTask StartBlockStatus(in RequestHeader request, PendingRequest pending)
        => StartBlockStatus(request, pending, _session.Contexts);

    private ValueTask StartBlockStatus(in RequestHeader request, PendingRequest pending, IReadOnlyList<MetaContext> contexts)
    {
        var status = new BlockStatusReply(request, contexts, _form == HeaderForm.Extended);
        pending.Keep(status);
        return status.GatherAsync(_backend);
    }

    /// <summary>Whether data follows the request.</summary>
    private bool HasPayload(in RequestHeader request)
        => request.Command == CommandType.Write || (_form == HeaderForm.Extended && (request.Flags & CommandFlags.PayloadLength) != 0);

    /// <summary>What is wrong with a BLOCK_STATUS that names contexts, before its payload is looked at.</summary>
    private (NbdError Error, string Text)? PayloadRefusal(in RequestHeader request)
    {
        if (_session.Contexts.Count == 0) return (NbdError.Invalid, "No metadata context was selected");
        const ulong longest = 8 + (4 * MaxNamedContexts);
        return request.Length is < 12 or > longest || (request.Length & 3) != 0 ? (NbdError.Invalid, "Payload of a wrong length") : null;
    }

    private const int MaxNamedContexts = 1024;

    /// <summary>Bytes of a payload that is taken only to be forgotten; beyond it the connection ends.</summary>
    private const ulong MaxSkipped = uint.MaxValue;

    /// <summary>BLOCK_STATUS of some of the selected contexts. Payload: 0 u64 length of the range  8 u32 id of a context, again and again</summary>
    private bool BlockStatusOfSome(in RequestHeader request)
    {
        int length = (int)request.Length;
        if (!TryReceive(length)) return false;
        ReadOnlySpan<byte> payload = _input.Take(length).Span;
        RequestHeader asked = request with { Length = BinaryPrimitives.ReadUInt64BigEndian(payload) };
        var contexts = new List<MetaContext>();
        for (int at = 8; at < length; at += 4)
        {
            uint id = BinaryPrimitives.ReadUInt32BigEndian(payload[at..]);
            if (_session.Contexts.FirstOrDefault(c => c.Id == id) is not { } context || contexts.Contains(context))
            {
                Refuse(request, NbdError.Invalid, $"Context {id} was not selected, or is named twice");
                return true;
            }

            contexts.Add(context);
        }

        ulong size = (ulong)_backend.Length;
        if (asked.Length == 0 || asked.Offset > size || asked.Length > size - asked.Offset)
        {
            Refuse(request, NbdError.Invalid, "Request ends after the end of the export");
            return true;
        }

        PendingRequest pending = _pending.Rent(request, heldBytes: 0);
        Finish(pending, StartBlockStatus(asked, pending, contexts));
        return true;
    }

    // ---- Replies

    private void Finish(PendingRequest pending, ValueTask running)
    {
        if (!pending.TryFinish(running)) return;
        _replies.Append(pending.Reply.Span);
        pending.Recycle();
    }

    private void Succeed(in RequestHeader request)
        => _replies.Commit(PendingRequest.WriteSuccess(_replies.Reserve(PendingRequest.MaxErrorReply).Span, request, _form));

    private void Fail(in RequestHeader request, BlockException failure)
        => _replies.Commit(PendingRequest.WriteError(_replies.Reserve(PendingRequest.MaxErrorReply).Span, request, failure, _form));

    private void Refuse(in RequestHeader request, NbdError error, string text)
        => _replies.Commit(PendingRequest.WriteError(_replies.Reserve(PendingRequest.MaxErrorReply).Span, request, error, text, _form));

    /// <summary>The data of a WRITE that is refused still comes; without taking it the stream would be out of step.</summary>
    private bool SkipData(ulong length)
    {
        SendAll();
        return length <= MaxSkipped && _input.Skip((long)length);
    }
}
