namespace Varve.Cli.Io;

/// <summary>What <c>--help</c> prints.</summary>
internal static class IoHelp
{
    public static string Text(string programName) => $"""
        Usage: {programName} [OPTIONS]... [-c STRING]... [file]
        Reads, writes and exercises a disk image, by commands

          -c, --cmd STRING     run this command (as often as given); without any, commands are read from standard input
          -f, --format FMT     the image format; found out where it is not given (say raw for raw images)
              --image-opts     the file is an option string, not a name
              --object OBJECT  an object such as secret,id=sec0,data=...
          -r, --read-only      open read-only
          -s, --snapshot       writes go to a temporary overlay that is forgotten
          -t, --cache=MODE     writeback, none, writethrough (default), directsync or unsafe
          -n, --nocache        bypass the page cache, as -t none
          -d, --discard=MODE   ignore or unmap (default)
          -C, --copy-on-read   what is read from a backing image is copied up
          -i, --aio=MODE       threads, native or io_uring
          -k, --native-aio     as -i native
          -m, --misalign       buffers that direct I/O does not like
          -U, --force-share    share the image with a program that writes to it
          -T, --trace          accepted; there are no trace points
          -h, --help           display this help and exit
          -V, --version        output version information and exit

        '{programName} -c help' lists the commands.

        """;
}
