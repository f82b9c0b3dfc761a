using Varve.Nbd.Client;
using Varve.Nbd.Transport;
using Varve.Nbd.Wire;

namespace Varve.Fuzz.Targets;

/// <summary>What a server sends: greeting, replies to options, replies to one request of each kind.</summary>
internal sealed class NbdClientTarget : FuzzTarget
{
    private const int ReadLength = 32;

    public override string Name => "nbd-client";

    public override IEnumerable<byte[]> Seeds
    {
        get
        {
            byte[] greeting = [.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, 0, 3];
            byte[] export = [0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0x0F, 0xFF], sizes = [0, 3, 0, 0, 2, 0, 0, 0, 16, 0, 2, 0, 0, 0];
            byte[] unknown(OptionType option) => Reply(option, 0x8000_0001, []);
            byte[] go = [.. Reply(OptionType.Go, 3, export), .. Reply(OptionType.Go, 3, sizes), .. Reply(OptionType.Go, 1, [])];
            byte[] context = [.. Reply(OptionType.SetMetaContext, 4, [0, 0, 0, 1, .. "base:allocation"u8]), .. Reply(OptionType.SetMetaContext, 1, [])];
            yield return [.. greeting, .. unknown(OptionType.ExtendedHeaders), .. unknown(OptionType.StructuredReply), .. go,
                .. Simple(0, 0), .. new byte[ReadLength], .. Simple(1, 0), .. Simple(2, 5)];
            yield return [.. greeting, .. unknown(OptionType.ExtendedHeaders), .. Reply(OptionType.StructuredReply, 1, []), .. context, .. go,
                .. Chunk(0, 1, 0, [0, 0, 0, 0, 0, 0, 0, 0, .. new byte[16]]), .. Chunk(0, 2, 1, [0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 16]),
                .. Chunk(1, 0, 1, []), .. Chunk(2, 5, 1, [0, 0, 0, 1, 0, 0, 16, 0, 0, 0, 0, 3]), .. Chunk(3, 0x8001, 1, [0, 0, 0, 5, 0, 1, (byte)'x'])];
            yield return [.. greeting, .. Reply(OptionType.ExtendedHeaders, 1, []), .. context, .. go,
                .. Extended(0, 1, 1, [0, 0, 0, 0, 0, 0, 0, 0, .. new byte[ReadLength]]), .. Extended(1, 0, 1, []),
                .. Extended(2, 6, 1, [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 3])];
            yield return [.. "NBDMAGIC"u8, 0, 0, 0x42, 2, 0x81, 0x86, 0x12, 0x53, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0, 3, .. new byte[124], .. Simple(0, 0), .. new byte[ReadLength]];
            yield return [.. "NBDMAGIC"u8, .. "IHAVEOPT"u8, 0, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 3, .. new byte[124], .. Simple(0, 0), .. new byte[ReadLength]];
        }
    }

    public override string Run(byte[] input)
    {
        using var transport = new MemoryTransport(input, pieces: 1);   // a byte at a time: nothing of the replies is received early
        var options = new NbdClientOptions { Server = new UnixTarget("/nowhere") };
        NbdClientConnection connection = NbdClientConnection.Negotiate(transport, options, _ => { });
        byte[] read = new byte[ReadLength];
        (CommandType Command, long Length)[] commands = [(CommandType.Read, ReadLength), (CommandType.Flush, 0), (CommandType.BlockStatus, 4096), (CommandType.Trim, 512)];
        var requests = new List<(ClientRequest Request, Task<bool> Answer)>();
        foreach ((CommandType command, long length) in commands)
        {
            var request = new ClientRequest();
            request.Set(command, CommandFlags.None, 0, length, command == CommandType.Read ? read : default);
            requests.Add((request, connection.SendAsync(request).AsTask()));
        }

        transport.Release();
        string answers = "";
        foreach ((ClientRequest request, Task<bool> answer) in requests)
        {
            answers += answer.GetAwaiter().GetResult() ? $"{request.Header.Command}:{request.Error} " : "lost ";
        }

        connection.Close();
        return answers + connection.Failure;
    }

    private static byte[] Big(uint value) => [(byte)(value >> 24), (byte)(value >> 16), (byte)(value >> 8), (byte)value];

    private static byte[] Reply(OptionType option, uint type, byte[] data)
        => [0, 3, 0xE8, 0x89, 4, 0x55, 0x65, 0xA9, .. Big((uint)option), .. Big(type), .. Big((uint)data.Length), .. data];

    private static byte[] Cookie(int request) => [0, 0, 0, 0, 0, 0, (byte)(request + 1), (byte)request];

    private static byte[] Simple(int request, uint error) => [0x67, 0x44, 0x66, 0x98, .. Big(error), .. Cookie(request)];

    private static byte[] Chunk(int request, ushort type, ushort flags, byte[] data)
        => [0x66, 0x8E, 0x33, 0xEF, 0, (byte)flags, (byte)(type >> 8), (byte)type, .. Cookie(request), .. Big((uint)data.Length), .. data];

    private static byte[] Extended(int request, ushort type, ushort flags, byte[] data)
        => [0x6E, 0x8A, 0x27, 0x8C, 0, (byte)flags, (byte)(type >> 8), (byte)type, .. Cookie(request), .. new byte[8], 0, 0, 0, 0, .. Big((uint)data.Length), .. data];
}
