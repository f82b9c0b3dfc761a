namespace Varve.Cli.Nbd;

/// <summary>What <c>--help</c> prints.</summary>
internal static class NbdHelp
{
    public static string Text(string programName) => $"""
        Usage: {programName} [OPTIONS] FILE
          or:  {programName} -L [OPTIONS]
        Serves a disk image to NBD clients, or lists what another NBD server offers

          -h, --help                display this help and exit
          -V, --version             output version information and exit

        Connection properties:
          -p, --port=PORT           port to listen on (default `10809')
          -b, --bind=IFACE          interface to bind to (default `0.0.0.0')
          -k, --socket=PATH         path to the unix socket
          -e, --shared=NUM          serve NUM clients at a time (default '1', 0 for any number)
          -t, --persistent          don't exit on the last connection
          -v, --verbose             keep standard error open, also with --fork
          -x, --export-name=NAME    the name clients ask for (default is the empty string)
          -D, --description=TEXT    a text about the export, for people

        Exposing part of the image:
          -o, --offset=OFFSET       offset into the image, in bytes
          -A, --allocation-depth    expose which layer of the chain the data is in
          -B, --bitmap=NAME         expose a persistent dirty bitmap

        General purpose options:
          -L, --list                list the exports of another NBD server
          --object type,id=ID,...   define an object such as 'secret' for providing
                                    passwords and/or encryption keys
          --tls-creds=ID            use id of an earlier --object to provide TLS
          --tls-authz=ID            use id of an earlier --object to provide
                                    authorization
          --tls-hostname=NAME       with --list, the name the server's certificate shall have
          -T, --trace PATTERN       accepted; there are no trace points
          --fork                    go on in the background once clients can connect
          --pid-file=PATH           store the server's process ID in the given file

        Block device options:
          -f, --format=FORMAT       set image format (raw, qcow2, ...)
          -r, --read-only           export read-only
          -s, --snapshot            let clients write into a temporary overlay of FILE,
                                    which is forgotten
          -l, --load-snapshot=SPEC  export an internal snapshot of FILE, read-only; SPEC is
                                    'snapshot.id=[ID],snapshot.name=[NAME]' or '[ID_OR_NAME]'
          -n, --nocache             disable host cache
              --cache=MODE          set cache mode used to access the disk image, the
                                    valid options are: 'none', 'writeback' (default),
                                    'writethrough', 'directsync' and 'unsafe'
              --aio=MODE            set AIO mode (native, io_uring or threads)
              --discard=MODE        set discard mode (ignore, unmap)
              --detect-zeroes=MODE  set detect-zeroes mode (off, on, unmap)
              --image-opts          treat FILE as a full set of image options

        A service manager may pass the listening socket in (LISTEN_FDS). Kernel NBD devices are not supported.

        """;
}
