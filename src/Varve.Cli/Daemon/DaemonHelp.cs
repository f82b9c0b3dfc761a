namespace Varve.Cli.Daemon;

/// <summary>What <c>--help</c> prints.</summary>
internal static class DaemonHelp
{
    public static string Text(string programName) => $"""
        Usage: {programName} [options]
        Serves disk images over NBD, controlled over QMP

        Options are carried out from left to right. KEYS are key=value pairs separated by commas, with dots for nesting, or JSON.

          -h, --help             display this help and exit
          -V, --version          output version information and exit
          -T, --trace PATTERN    accepted; there are no trace points

          --blockdev [driver=]DRIVER,node-name=N[,read-only=on|off][,auto-read-only=on|off][,force-share=on|off]
                     [,cache.direct=on|off][,cache.no-flush=on|off][,discard=ignore|unmap][,detect-zeroes=on|off|unmap][,KEYS]
                                 open a block node; more KEYS by driver

          --chardev socket,id=ID,path=PATH[,server=on|off][,wait=on|off]
          --chardev socket,id=ID,host=HOST,port=PORT[,server=on|off][,wait=on|off]
          --chardev socket,id=ID,fd=FD[,server=on|off]
          --chardev stdio|null,id=ID
          --chardev pipe,id=ID,path=PATH
                                 make a character device, for a monitor

          --monitor [chardev=]ID[,mode=control][,pretty=on|off]
                                 serve QMP on a character device

          --nbd-server addr.type=unix,addr.path=PATH[,max-connections=N]
          --nbd-server addr.type=inet,addr.host=HOST,addr.port=PORT[,max-connections=N]
          --nbd-server addr.type=fd,addr.str=FD[,max-connections=N]
                                 start the NBD server

          --export [type=]nbd,id=ID,node-name=NODE[,name=NAME][,writable=on|off][,description=TEXT][,allocation-depth=on|off]
                                 offer a node to NBD clients

          --object TYPE,id=ID[,KEYS]
                                 make an object; '--object help' lists the types, '--object TYPE,help' the keys of one

          --daemonize            go on in the background once everything is set up; the status says whether it is
          --pidfile PATH         write the process id to a file once everything is set up

        The daemon ends on 'quit', SIGTERM, SIGINT or SIGHUP: jobs are cancelled, exports drained, images closed.

        """;
}
