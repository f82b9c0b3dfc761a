namespace Varve.Graph;

/// <summary>Request counters of one backend, as <c>query-blockstats</c> reports them. Counted without locks, read without stopping.</summary>
internal sealed class BlockStatistics
{
    private long _readBytes, _readOperations, _writtenBytes, _writeOperations, _unmappedBytes, _unmapOperations, _flushOperations;

    public long ReadBytes => Volatile.Read(ref _readBytes);
    public long ReadOperations => Volatile.Read(ref _readOperations);
    public long WrittenBytes => Volatile.Read(ref _writtenBytes);
    public long WriteOperations => Volatile.Read(ref _writeOperations);
    public long UnmappedBytes => Volatile.Read(ref _unmappedBytes);
    public long UnmapOperations => Volatile.Read(ref _unmapOperations);
    public long FlushOperations => Volatile.Read(ref _flushOperations);

    public void CountRead(long length)
    {
        Interlocked.Add(ref _readBytes, length);
        Interlocked.Increment(ref _readOperations);
    }

    public void CountWrite(long length)
    {
        Interlocked.Add(ref _writtenBytes, length);
        Interlocked.Increment(ref _writeOperations);
    }

    public void CountUnmap(long length)
    {
        Interlocked.Add(ref _unmappedBytes, length);
        Interlocked.Increment(ref _unmapOperations);
    }

    public void CountFlush() => Interlocked.Increment(ref _flushOperations);
}
