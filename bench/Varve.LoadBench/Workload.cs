namespace Varve.LoadBench;

/// <summary>One pattern of requests, in fio's words.</summary>
/// <param name="Name">As in the table.</param>
/// <param name="Pattern">fio's <c>rw</c>.</param>
/// <param name="BlockSize">fio's <c>bs</c>.</param>
/// <param name="Depth">Requests in flight, for each client.</param>
/// <param name="Clients">Clients at once, each with a connection of its own.</param>
internal sealed record Workload(string Name, string Pattern, string BlockSize, int Depth, int Clients = 1)
{
    public static Workload RandomRead { get; } = new("4k random read, depth 32", "randread", "4k", 32);

    public static Workload RandomWrite { get; } = new("4k random write, depth 32", "randwrite", "4k", 32);

    public static IReadOnlyList<Workload> All { get; } =
    [
        new("4k random read, depth 1", "randread", "4k", 1),
        RandomRead,
        new("4k random write, depth 1", "randwrite", "4k", 1),
        RandomWrite,
        new("1 MiB sequential read, depth 8", "read", "1M", 8),
        new("1 MiB sequential write, depth 8", "write", "1M", 8),
        new("4k random mixed, 16 clients", "randrw", "4k", 4, Clients: 16),
    ];
}
