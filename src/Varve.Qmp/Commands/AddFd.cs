using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Options;
using static Varve.Options.OptionMember;
using static Varve.Options.OptionType;

namespace Varve.Qmp.Commands;

/// <summary><c>add-fd</c>: puts the descriptor that came with the command into a set, to be opened as <c>/dev/fdset/N</c>.</summary>
internal sealed class AddFd() : QmpCommand("add-fd", Optional("fdset-id", Int), Optional("opaque", Str))
{
    private static readonly ObjectType s_info = new("AddfdInfo", [Required("fdset-id", Int), Required("fd", Int)]);

    public override OptionType Returns => s_info;

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        SafeFileHandle descriptor = call.TakeDescriptor();
        (long id, int fd) = call.Context.Graph.FdSets.Add(descriptor, call.OptionalNumber("fdset-id"), call.OptionalText("opaque"));
        return new(new JsonObject { ["fdset-id"] = id, ["fd"] = fd });
    }
}
