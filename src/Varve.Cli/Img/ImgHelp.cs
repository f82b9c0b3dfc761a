using Varve.Graph;

namespace Varve.Cli.Img;

/// <summary>What <c>--help</c> prints.</summary>
internal static class ImgHelp
{
    public static string Text(string programName) => $"""
        usage: {programName} [standard options] command [command options]
        Creates, inspects, checks, compares and converts disk images

            '-h', '--help'       display this help and exit
            '-V', '--version'    output version information and exit
            '-T', '--trace'      accepted; there are no trace points

        Command syntax:
          check [--object objectdef] [--image-opts] [-q] [-f fmt] [--output=ofmt] [-r [leaks | all]] [-T src_cache] [-U] filename
          compare [--object objectdef] [--image-opts] [-f fmt] [-F fmt] [-T src_cache] [-p] [-q] [-s] [-U] filename1 filename2
          convert [--object objectdef] [--image-opts] [--target-image-opts] [--target-is-zero] [-U] [-C] [-p] [-q] [-n] [-f fmt] [-t cache] [-T src_cache] [-O output_fmt] [-B backing_file [-F backing_fmt]] [-o options] [-S sparse_size] [-r rate_limit] [-m num_coroutines] [-W] [--salvage] filename [filename2 [...]] output_filename
          create [--object objectdef] [-q] [-f fmt] [-b backing_file [-F backing_fmt]] [-u] [-o options] filename [size]
          info [--object objectdef] [--image-opts] [-f fmt] [--output=ofmt] [--backing-chain] [-U] filename
          map [--object objectdef] [--image-opts] [-f fmt] [--start-offset=offset] [--max-length=len] [--output=ofmt] [-U] filename

        Parameters:
          filename      a path, or a name with a protocol prefix, or json:{"{...}"}; with --image-opts an option string
          objectdef     an object such as secret,id=sec0,data=...
          fmt           the image format; found out where it is not given (say raw for raw images)
          cache         writeback, none, writethrough, directsync or unsafe
          size          bytes, or with a suffix k, M, G, T, P or E
          options       name=value pairs separated by commas; '-o help' lists those of a format
          ofmt          human or json

          -b, -B        backing image: what the new image does not hold is read from it; -F is its format
          -u            create: do not open the backing image
          -r            check: repair leaks, or all; convert: bytes per second
          -s            compare: strictly, allocation and size included
          -S            convert: how many zeros in a row are not written (4k); 0 allocates everything
          -n            convert: the target exists already
          -m, -W        convert: requests in flight (8); writes may be out of order
          -p, -q        show progress; say nothing but errors
          -U            share the image with a program that writes to it

        Supported formats: {string.Join(' ', BlockDrivers.Default.All.Select(d => d.Name).Order(StringComparer.Ordinal))}

        """;
}
