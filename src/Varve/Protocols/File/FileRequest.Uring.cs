using System.Buffers;
using System.Diagnostics;
using Varve.Interop.Linux;
using Varve.IO;

namespace Varve.Protocols.File;

/// <summary>What comes after a completion.</summary>
internal enum UringStep
{
    /// <summary>The request has ended, which <see cref="FileRequest.End"/> tells whoever awaits it.</summary>
    Done,

    /// <summary>Some is left: it is described and submitted again.</summary>
    Again,

    /// <summary>The rest is for a thread, which does what this kernel or this file cannot do here, or finds out why it fails.</summary>
    OnThread,
}

/// <content>The request as io_uring sees it: again and again until nothing is left, as the system calls' loops do it.</content>
internal sealed partial class FileRequest
{
    private const int DataSync = 1;     // IORING_FSYNC_DATASYNC

    private long _done;
    private MemoryHandle _pin;
    private BlockException? _failure;

    /// <summary>Whether this, in a file of this kind, is left to io_uring at all.</summary>
    public bool SuitsUring => _node!.File.UringHandle is not null && _operation switch
    {
        <= FileOperation.Flush => true,
        FileOperation.BeginWriteback => false,   // the ring would do it in a thread of its own
        _ => _node.File.Kind == HostFileKind.Regular,
    };

    /// <summary>What the kernel is to do next. The memory stays where it is until the completion has been taken.</summary>
    public unsafe UringEntry Describe()
    {
        var entry = new UringEntry { Descriptor = (int)_node!.File.UringHandle!.DangerousGetHandle(), Offset = _offset + _done };
        switch (_operation)
        {
            case FileOperation.Read:
                _pin = _target[(int)_done..].Pin();
                (entry.Operation, entry.Address, entry.Length) = (UringOperation.Read, (long)_pin.Pointer, PieceLength());
                break;
            case FileOperation.Write or FileOperation.WriteDurably:
                _pin = _source[(int)_done..].Pin();
                (entry.Operation, entry.Address, entry.Length) = (UringOperation.Write, (long)_pin.Pointer, PieceLength());
                if (_operation == FileOperation.WriteDurably) entry.Flags = (int)ReadWriteFlags.DataSync;
                break;
            case FileOperation.Flush:
                (entry.Operation, entry.Flags, entry.Offset) = (UringOperation.Sync, DataSync, 0);
                break;
            case FileOperation.Zero:
                (entry.Operation, entry.Address, entry.Length) = (UringOperation.Allocate, _length, (int)FallocateMode.ZeroRange);
                break;
            case FileOperation.ZeroUnmap or FileOperation.Discard:
                (entry.Operation, entry.Address, entry.Length) = (UringOperation.Allocate, _length, (int)(FallocateMode.PunchHole | FallocateMode.KeepSize));
                break;
        }

        return entry;
    }

    private int PieceLength() => (int)Math.Min(_length - _done, LinuxFile.LargestTransfer);

    /// <summary>Takes what the kernel says of the last entry: bytes done, or the negated errno.</summary>
    public UringStep Step(int result)
    {
        _pin.Dispose();
        _pin = default;
        if (result < 0) return TakeErrno(-result);
        switch (_operation)
        {
            case FileOperation.Read:
                _done += result;
                // Direct I/O cannot ask again from an odd offset; only the end of the file makes one.
                if (_done < _length && (result == 0 || !Align.Is(result, _node!.File.Alignment)))
                {
                    _target.Span[(int)_done..].Clear();
                    _done = _length;
                }

                break;
            case FileOperation.Write or FileOperation.WriteDurably:
                long written = Align.Down(result, _node!.File.Alignment);    // the rest of a block is written again
                if (written == 0) return TakeErrno(Errno.ENOSPC);
                _done += written;
                break;
            case FileOperation.ZeroUnmap when _offset + _length > _node!.Length:
                return UringStep.OnThread;      // the file has to grow too
            case FileOperation.Discard:
                _node!.CountDiscard(_length, isDone: true);
                _done = _length;
                break;
            default:
                _done = _length;
                break;
        }

        Debug.Assert(_done <= _length, "More was done than asked for.");
        return _done < _length ? UringStep.Again : UringStep.Done;
    }

    /// <summary>Tells whoever awaits the request how it ended. It may be in use for another afterwards.</summary>
    public void End()
    {
        if (_failure is { } failure) Fail(failure);
        else Succeed();
    }

    private UringStep TakeErrno(int errno)
    {
        switch (errno)
        {
            case Errno.EINTR or Errno.ECANCELED:    // a signal; or the thread that submitted it has ended, and its kernel workers with it
                return UringStep.Again;
            case Errno.EAGAIN or Errno.EOPNOTSUPP or Errno.ENOSYS or Errno.EINVAL or Errno.ENOTTY or Errno.ENODEV:
                return UringStep.OnThread;
            default:
                // Not tried once more: a flush that failed succeeds the second time, and has lost data.
                _failure = LinuxFile.Failed(errno, _operation == FileOperation.Flush ? null : _offset + _done);
                return UringStep.Done;
        }
    }
}
