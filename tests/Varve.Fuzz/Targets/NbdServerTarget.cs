using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;
using Varve.Nbd.Wire;

namespace Varve.Fuzz.Targets;

/// <summary>What a client sends: flags, options, requests.</summary>
internal sealed class NbdServerTarget : FuzzTarget
{
    private readonly Lazy<NbdServer> _server = new(Start);
    private static readonly List<Exception> s_defects = [];

    public override string Name => "nbd-server";

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            byte[] export = [0, 0, 0, 4, .. "disk"u8, 0, 1, 0, 3], contexts = [0, 0, 0, 4, .. "disk"u8, 0, 0, 0, 1, 0, 0, 0, 15, .. "base:allocation"u8];
            byte[] requests =
            [
                .. Request(CommandType.Read, 0, 512), .. Request(CommandType.Write, 4096, 16), .. new byte[16], .. Request(CommandType.WriteZeroes, 0, 8192),
                .. Request(CommandType.Trim, 0, 4096), .. Request(CommandType.Cache, 0, 4096), .. Request(CommandType.BlockStatus, 0, 65536),
                .. Request(CommandType.Flush, 0, 0), .. Request(CommandType.Disconnect, 0, 0),
            ];
            yield return [0, 0, 0, 3, .. Option(OptionType.StructuredReply, []), .. Option(OptionType.SetMetaContext, contexts), .. Option(OptionType.Go, export), .. requests];
            yield return [0, 0, 0, 3, .. Option(OptionType.Go, export), .. requests];
            yield return [0, 0, 0, 3, .. Option(OptionType.ExportName, "disk"u8), .. requests];
            yield return [0, 0, 0, 1, .. Option(OptionType.List, []), .. Option(OptionType.Info, export), .. Option(OptionType.ListMetaContext, contexts), .. Option(OptionType.Abort, [])];
            yield return [0, 0, 0, 3, .. Option(OptionType.ExtendedHeaders, []), .. Option(OptionType.StartTls, []), .. Option((OptionType)99, [1, 2, 3])];
        }
    }

    public override string Run(byte[] input)
    {
        using var transport = new MemoryTransport(input, pieces: 64);
        transport.Release();
        var connection = new NbdConnection(_server.Value, transport);
        connection.Start();
        connection.Ended.GetAwaiter().GetResult();
        lock (s_defects)
        {
            if (s_defects.Count > 0) throw new InvalidOperationException("in the server", s_defects[0]);
        }

        return "";
    }

    internal static byte[] Option(OptionType option, ReadOnlySpan<byte> data)
    {
        byte[] header = new byte[OptionHeader.Size];
        new OptionHeader(option, (uint)data.Length).WriteTo(header);
        return [.. header, .. data];
    }

    private static byte[] Request(CommandType command, ulong offset, ulong length)
    {
        byte[] header = new byte[RequestHeader.Size];
        new RequestHeader(command, CommandFlags.None, 7, offset, length).WriteTo(header);
        return header;
    }

    private static NbdServer Start()
    {
        string path = Path.Combine(Directory.CreateTempSubdirectory("varve-fuzz-").FullName, "socket");
        NbdServer server = NbdServer.ListenUnix(path);
        server.ConnectionFailed = e =>
        {
            lock (s_defects) s_defects.Add(e);
        };
        var files = new FuzzFileDriver { Content = new byte[1 << 20] };
        var graph = new BlockGraph(new BlockDrivers([files]));
        var exports = new ExportRegistry(graph);
        exports.SetNbdServer(server);
        using IDisposable held = graph.ControlLock.EnterAsync().AsTask().GetAwaiter().GetResult();
        BlockNode node = graph.OpenNodeAsync(new JsonObject { ["driver"] = "fuzz", ["node-name"] = "disk" }, new OpenContext()).AsTask().GetAwaiter().GetResult();
        exports.AddAsync(new NbdExportOptions { Id = "export", Node = node, Writable = true }).AsTask().GetAwaiter().GetResult();
        return server;
    }
}
