using System.Text.Json.Nodes;
using Microsoft.Win32.SafeHandles;
using Varve.Qmp.Server;

namespace Varve.Qmp.Commands;

/// <summary>One execution of a command: the host, the client that asked, and the checked arguments.</summary>
internal sealed record QmpCall(QmpContext Context, IQmpClientState Client, JsonObject Arguments)
{
    /// <summary>A string argument that is required.</summary>
    public string Text(string name) => (string)Arguments[name]!;

    /// <summary>A string argument, or null when it is not given.</summary>
    public string? OptionalText(string name) => (string?)Arguments[name];

    public bool Flag(string name, bool otherwise = false) => (bool?)Arguments[name] ?? otherwise;

    public long Number(string name) => (long)Arguments[name]!;

    public long? OptionalNumber(string name) => (long?)Arguments[name];

    /// <summary>An object argument, detached so that it may be handed on.</summary>
    public JsonObject Object(string name)
    {
        var value = (JsonObject)Arguments[name]!;
        Arguments.Remove(name);
        return value;
    }

    /// <summary>The descriptor that came with the command.</summary>
    /// <exception cref="BlockException">None came.</exception>
    public SafeFileHandle TakeDescriptor()
        => Client.TakeDescriptor() ?? throw new BlockException(BlockErrorKind.Invalid, "No file descriptor supplied via SCM_RIGHTS");
}
