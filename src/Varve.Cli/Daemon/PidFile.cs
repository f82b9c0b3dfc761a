using System.Globalization;
using System.Text;
using Varve.Cli.CommandLine;

namespace Varve.Cli.Daemon;

/// <summary>A file that holds the process's id while it runs, locked so that two daemons do not share one.</summary>
internal sealed class PidFile : IDisposable
{
    private readonly FileStream _file;

    private PidFile(FileStream file) => _file = file;

    /// <summary>Whether the file goes with the process.</summary>
    public bool IsRemoved { get; init; } = true;

    /// <summary>Writes the file, or says why it cannot be.</summary>
    /// <param name="path">Where.</param>
    /// <param name="complaint">In front of the reason why not.</param>
    /// <param name="isRemoved">Whether the file goes with the process.</param>
    public static PidFile Create(string path, string complaint = "cannot create PID file: ", bool isRemoved = true)
    {
        FileStream file;
        try
        {
            var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.None };
            if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            file = new FileStream(Path.GetFullPath(path), options);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ToolException($"{complaint}Could not create '{path}': {Reason(e)}");
        }

        file.SetLength(0);
        file.Write(Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"));
        file.Flush();
        return new PidFile(file) { IsRemoved = isRemoved };
    }

    public void Dispose()
    {
        if (IsRemoved) File.Delete(_file.Name);
        _file.Dispose();
    }

    private static string Reason(Exception e) => e switch
    {
        UnauthorizedAccessException => Errno.Text(Errno.EACCES),
        DirectoryNotFoundException or FileNotFoundException => Errno.Text(Errno.ENOENT),
        _ => Errno.Text(e.HResult),   // on Unix the result of an IOException is its errno
    };
}
