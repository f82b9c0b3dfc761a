using System.Runtime.CompilerServices;
using Varve.Graph;
using Varve.Jobs;

namespace Varve;

/// <summary>An opened disk: the top of a chain of images.</summary>
/// <remarks>
/// Thread-safe: any number of requests may be in flight, and they go on while <see cref="StreamAsync"/> reshapes the chain. Requests that
/// overlap and are not awaited one after the other happen in any order. A request that fails leaves the disk usable.
/// </remarks>
public sealed class VirtualDisk : IAsyncDisposable
{
    private readonly BlockLayer _layer;
    private readonly BlockBackend _backend;
    private int _disposed;

    internal VirtualDisk(BlockLayer layer, BlockBackend backend)
    {
        _layer = layer;
        _backend = backend;
    }

    /// <summary>A disk that was disposed says so.</summary>
    private BlockBackend Backend
    {
        get
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
            return _backend;
        }
    }

    /// <summary>Bytes of the disk.</summary>
    public long Length => Backend.Length;

    /// <summary>Whether the disk was opened without <see cref="DiskOpening.Writable"/>.</summary>
    public bool IsReadOnly => Backend.IsReadOnly;

    /// <summary>The images the disk stands on now, top first.</summary>
    public IReadOnlyList<ChainImage> Chain
    {
        get
        {
            var images = new List<ChainImage>();
            for (BlockNode? node = Backend.Node.SkipFilters(); node is not null; node = node.BackingChild?.Node.SkipFilters())
            {
                images.Add(new ChainImage(node.Filename, node.Driver.Name, node.Length, node.RecordedBackingFile, node.RecordedBackingFormat));
            }

            return images;
        }
    }

    internal BlockNode Node => Backend.Node;

    /// <summary>Fills <paramref name="buffer"/> with the bytes at <paramref name="offset"/>.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment.</param>
    /// <param name="buffer">Any length; the range ends inside the disk.</param>
    /// <param name="cancellationToken">Ends waiting where the request has to wait.</param>
    /// <exception cref="BlockException"><c>Io</c>: the range does not end inside the disk, or reading failed; <c>Corrupt</c>.</exception>
    public ValueTask ReadAsync(long offset, Memory<byte> buffer, CancellationToken cancellationToken = default)
        => Backend.ReadAsync(offset, buffer, cancellationToken);

    /// <summary>Writes <paramref name="buffer"/> at <paramref name="offset"/>.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment.</param>
    /// <param name="buffer">Any length; the range ends inside the disk. Not touched by the caller until the write is done.</param>
    /// <param name="cancellationToken">Ends waiting before the write is begun, not after.</param>
    /// <returns>Done when later reads see the bytes. Durable only after <see cref="FlushAsync"/>.</returns>
    /// <exception cref="BlockException"><c>Io</c>, <c>NoSpace</c>, <c>ReadOnly</c>, <c>Corrupt</c>.</exception>
    public ValueTask WriteAsync(long offset, ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        => Backend.WriteAsync(offset, buffer, WriteFlags.None, cancellationToken);

    /// <summary>Makes a range read as zeros, without storing zeros where the format allows it.</summary>
    /// <param name="offset">Guest offset in bytes, any alignment; ragged edges are written as data.</param>
    /// <param name="length">Bytes; the range ends inside the disk.</param>
    /// <param name="cancellationToken">Ends waiting before the first write is begun, not after.</param>
    /// <returns>Done when later reads see zeros. Durable only after <see cref="FlushAsync"/>.</returns>
    /// <exception cref="BlockException"><c>Io</c>, <c>NoSpace</c>, <c>ReadOnly</c>, <c>Corrupt</c>.</exception>
    public ValueTask WriteZeroesAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Backend.WriteZeroesAsync(offset, length, ZeroFlags.MayUnmap, cancellationToken);

    /// <summary>Says that the content of a range is no longer needed. Never promises zeros.</summary>
    /// <param name="offset">Guest offset in bytes; only whole clusters inside the range are given back.</param>
    /// <param name="length">Bytes; the range ends inside the disk.</param>
    /// <param name="cancellationToken">Ends waiting before anything is given back.</param>
    /// <exception cref="BlockException"><c>Io</c>, <c>ReadOnly</c>, <c>Corrupt</c>.</exception>
    public ValueTask DiscardAsync(long offset, long length, CancellationToken cancellationToken = default)
        => Backend.DiscardAsync(offset, length, cancellationToken);

    /// <summary>Makes every write that was done before durable, with the metadata that leads to it.</summary>
    /// <param name="cancellationToken">Ends waiting; what is durable then is not known.</param>
    /// <exception cref="BlockException"><c>Io</c>, <c>NoSpace</c>: nothing can be said about writes since the last successful flush.</exception>
    public ValueTask FlushAsync(CancellationToken cancellationToken = default) => Backend.FlushAsync(cancellationToken);

    /// <summary>The runs of the disk, in order and without gaps: what is data, what reads as zeros, and which image decides.</summary>
    /// <param name="cancellationToken">Ends the enumeration.</param>
    /// <remarks>Writes that happen meanwhile may or may not show. Nothing is read but metadata.</remarks>
    /// <exception cref="BlockException"><c>Io</c>, <c>Corrupt</c>.</exception>
    public async IAsyncEnumerable<DiskExtent> MapAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        await foreach (MapExtent run in ChainMap.ExtentsAsync(Backend, 0, Length, cancellationToken).ConfigureAwait(false))
        {
            yield return new DiskExtent(run.Start, run.Length, run.IsZero, run.IsData, run.IsPresent, run.Depth, run.Offset);
        }
    }

    /// <summary>Copies the data between the top and a base up into the top while the disk stays in use, and then names the base (or nothing) as
    /// the top's backing file.</summary>
    /// <param name="request">Which base, and what name to record.</param>
    /// <param name="progress">Told a few times a second.</param>
    /// <param name="cancellationToken">Cancels the job: what was copied stays, the header and the chain are as before.</param>
    /// <returns>Done when the header is durable and the disk stands on the shorter chain.</returns>
    /// <exception cref="BlockException">The request is refused, or the job failed: header and chain are as before, the disk is usable.</exception>
    /// <exception cref="OperationCanceledException">The job was cancelled.</exception>
    public async Task StreamAsync(StreamRequest request, IProgress<JobProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(request);
        Job job;
        using (await _layer.Graph.ControlLock.EnterAsync(cancellationToken).ConfigureAwait(false))
        {
            job = await _layer.Jobs.StartStreamAsync(
                new StreamOptions(Backend.Node.NodeName)
                {
                    JobId = _layer.NextStreamId(),
                    Base = request.Base,
                    BackingFile = request.BackingFile,
                    Speed = request.BytesPerSecond,
                },
                cancellationToken).ConfigureAwait(false);
        }

        using CancellationTokenRegistration registration = cancellationToken.Register(() => _ = CancelAsync(job));
        while (await Task.WhenAny(job.Completion, Task.Delay(TimeSpan.FromMilliseconds(100), CancellationToken.None)).ConfigureAwait(false) != job.Completion)
        {
            progress?.Report(new JobProgress(job.CurrentProgress, job.TotalProgress));
        }

        progress?.Report(new JobProgress(job.CurrentProgress, job.TotalProgress));
        if (job.IsCancelled) throw new OperationCanceledException(cancellationToken);
        if (job.Failure is { } failure) throw new BlockException(failure.Kind, failure.Message, failure) { NodeName = failure.NodeName };
    }

    /// <summary>The disk as a stream: of fixed length, seekable, with a position of its own.</summary>
    /// <param name="leaveOpen">Whether the disk stays open when the stream is closed.</param>
    public Stream AsStream(bool leaveOpen = true) => new DiskStream(this, leaveOpen);

    /// <summary>Waits for requests in flight, writes caches back and closes the images nobody else has open.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0) return;
        using IDisposable held = await _layer.Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        await _backend.CloseAsync().ConfigureAwait(false);
    }

    private async Task CancelAsync(Job job)
    {
        using IDisposable held = await _layer.Graph.ControlLock.EnterAsync().ConfigureAwait(false);
        if (!job.Completion.IsCompleted) await job.CancelAsync(force: true).ConfigureAwait(false);
    }
}
