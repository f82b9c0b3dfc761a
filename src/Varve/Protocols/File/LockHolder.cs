using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Varve.Protocols.File;

/// <summary>Finds out which process has a lock, from what Linux tells about open files under /proc.</summary>
/// <remarks>Locks of open file descriptions carry no process id, so the descriptors of every process are looked through. Only ever
/// done for an error message: what cannot be read (another user's process, one that has just ended) is passed over.</remarks>
internal static class LockHolder
{
    /// <summary>A process that has a file open whose lock covers a byte.</summary>
    /// <param name="inode">The locked file.</param>
    /// <param name="offset">The locked byte.</param>
    /// <param name="except">Our own descriptor, whose locks stand in nobody's way here.</param>
    /// <returns><c>process 1234 (qemu-nbd)</c>, <c>this process</c>, or null when none was found.</returns>
    public static string? Find(ulong inode, long offset, SafeFileHandle except)
    {
        string ownDescriptor = $"/proc/{Environment.ProcessId}/fdinfo/{except.DangerousGetHandle()}";
        foreach (string process in Entries("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(process), NumberStyles.None, CultureInfo.InvariantCulture, out int id)) continue;
            foreach (string descriptor in Entries(Path.Combine(process, "fdinfo")))
            {
                if (descriptor != ownDescriptor && HasLock(ReadText(descriptor), inode, offset)) return Describe(id);
            }
        }

        return null;
    }

    /// <summary>Whether a <c>fdinfo</c> text has a line <c>lock: 1: OFDLCK ADVISORY READ -1 fe:00:INODE FIRST LAST</c> for the byte.</summary>
    internal static bool HasLock(string text, ulong inode, long offset)
    {
        foreach (string line in text.Split('\n'))
        {
            string[] words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length != 9 || words[0] != "lock:" || !words[6].EndsWith($":{inode}", StringComparison.Ordinal)) continue;
            if (!long.TryParse(words[7], NumberStyles.None, CultureInfo.InvariantCulture, out long first)) continue;
            bool isEndless = words[8] == "EOF";
            if (!long.TryParse(words[8], NumberStyles.None, CultureInfo.InvariantCulture, out long last) && !isEndless) continue;
            if (first <= offset && (isEndless || offset <= last)) return true;
        }

        return false;
    }

    private static string Describe(int id)
    {
        if (id == Environment.ProcessId) return "this process";
        string name = ReadText($"/proc/{id}/comm").TrimEnd();
        return name.Length == 0 ? $"process {id}" : $"process {id} ({name})";
    }

    private static string[] Entries(string directory)
    {
        try
        {
            return Directory.GetFileSystemEntries(directory);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static string ReadText(string path)
    {
        try
        {
            return System.IO.File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
