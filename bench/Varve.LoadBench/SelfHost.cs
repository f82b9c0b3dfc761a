using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using Varve.Graph;
using Varve.Nbd.Server;

namespace Varve.LoadBench;

/// <summary>A server process of our own: one image, one export, nothing else. What is measured is the block layer and the protocol.</summary>
internal static class SelfHost
{
    /// <summary>Serves an image on a unix socket until SIGTERM or SIGINT.</summary>
    public static async Task<int> RunAsync(string format, string image, string socket)
    {
        await using var graph = new BlockGraph();
        var exports = new ExportRegistry(graph);
        using (await graph.ControlLock.EnterAsync().ConfigureAwait(false))
        {
            var options = new JsonObject
            {
                ["driver"] = format,
                ["node-name"] = "disk",
                ["file"] = new JsonObject { ["driver"] = "file", ["filename"] = image },
            };
            BlockNode node = await graph.OpenNodeAsync(options, new OpenContext { References = ReferencePolicy.Everything }).ConfigureAwait(false);
            exports.SetNbdServer(NbdServer.ListenUnix(socket));
            await exports.AddAsync(new NbdExportOptions { Id = "disk", Node = node, Name = "", Writable = true, AllocationDepth = true })
                .ConfigureAwait(false);
        }

        await WaitForSignalAsync().ConfigureAwait(false);
        using (await graph.ControlLock.EnterAsync().ConfigureAwait(false)) await exports.StopNbdServerAsync().ConfigureAwait(false);
        return 0;
    }

    private static async Task WaitForSignalAsync()
    {
        var asked = new TaskCompletionSource();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        using PosixSignalRegistration interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        await asked.Task.ConfigureAwait(false);

        void Stop(PosixSignalContext context)
        {
            context.Cancel = true;
            asked.TrySetResult();
        }
    }
}
