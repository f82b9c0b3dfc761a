using Varve.Cli.CommandLine;
using Varve.Graph;
using Varve.IO;

namespace Varve.Cli.Io.Commands;

/// <summary><c>write</c>: writes a pattern, a file's content or zeros.</summary>
internal sealed class WriteCommand : IoCommand
{
    private static readonly OptionTable s_options = new("bcCfnpP:qrs:uz");

    public override string Name => "write";

    public override string Alias => "w";

    public override string Arguments => "[-bcCfnqruz] [-P pattern | -s source_file] off len";

    public override string Summary => "writes a number of bytes at a specified offset";

    public override string Details => """
         -b  to the VM state instead of the disk      -c  compressed
         -P  this byte (0xcd)                         -s  what a file holds, over and over
         -z  zeros, without writing them              -u  with -z: space may be given back
         -n  with -z: fail rather than write them     -f  durable when done
         -C  statistics for programs                  -q  print nothing on success
         -r  from a registered buffer                 -p  accepted, means nothing

         write -P 0x41 512 1k     fills the second and third sector with A

        """;

    public override int MinArguments => 2;

    public override int MaxArguments => Unlimited;

    public override BlockPermissions Permissions => BlockPermissions.Write;

    public override async ValueTask<bool> RunAsync(IoEngine engine, IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var printing = new IoRequestPrinting();
        bool isVmState = false, isCompressed = false, isFua = false, noFallback = false, mayUnmap = false, isZero = false;
        byte? pattern = null;
        string? source = null;
        IReadOnlyList<string> operands = ReadOptions(s_options, arguments, (option, argument) =>
        {
            switch (option)
            {
                case 'b': isVmState = true; break;
                case 'c': isCompressed = true; break;
                case 'C': printing.IsForMachines = true; break;
                case 'f': isFua = true; break;
                case 'n': noFallback = true; break;
                case 'P': pattern = IoNumbers.ParsePattern(argument); break;
                case 'q': printing.IsQuiet = true; break;
                case 's': source = argument; break;
                case 'u': mayUnmap = true; break;
                case 'z': isZero = true; break;
            }
        });
        RequireOperands(operands, 2, 2);
        Refuse(isVmState && isZero, "-b and -z cannot be specified at the same time");
        Refuse(isFua && (isVmState || isCompressed), "-f and -b or -c cannot be specified at the same time");
        Refuse(noFallback && !isZero, "-n requires -z to be specified");
        Refuse(mayUnmap && !isZero, "-u requires -z to be specified");
        int sources = (isZero ? 1 : 0) + (pattern is null ? 0 : 1) + (source is null ? 0 : 1);
        Refuse(sources > 1, "Only one of -z, -P, and -s can be specified at the same time");

        long offset = IoNumbers.ParseSize(operands[0]);
        long length = noFallback ? IoNumbers.ParseSize(operands[1]) : IoNumbers.ParseLength(operands[1], " without -n");
        if (isVmState || isCompressed) ReadCommand.RequireSectors(offset, length);
        using IOBuffer buffer = Fill(engine, isZero ? 0 : (int)length, pattern, source, out Memory<byte> data);
        TimeSpan? elapsed = await IoRequest.TimeAsync(engine.Output.Print, Name, () =>
            isZero ? engine.Image.WriteZeroesAsync(offset, length, IoRequest.Flags(engine, isFua, mayUnmap, noFallback), cancellationToken)
            : isVmState ? WriteVmStateAsync(engine, offset, data, cancellationToken)
            : engine.Image.WriteAsync(offset, data, IoRequest.Flags(engine, isFua, isCompressed), cancellationToken)).ConfigureAwait(false);
        if (elapsed is null) return false;
        IoRequest.Report(engine.Output.Print, printing, "wrote", offset, length, elapsed.Value, default);
        return true;
    }

    private static async ValueTask WriteVmStateAsync(IoEngine engine, long offset, Memory<byte> data, CancellationToken cancellationToken)
    {
        await engine.Image.WriteVmStateAsync(offset, data, cancellationToken).ConfigureAwait(false);
        if (engine.IsWriteThrough) await engine.Image.FlushAsync(cancellationToken).ConfigureAwait(false);
    }

    private static void Refuse(bool isWrong, string message)
    {
        if (isWrong) throw new IoRefusal(message + "\n");
    }

    private static IOBuffer Fill(IoEngine engine, int length, byte? pattern, string? source, out Memory<byte> data)
    {
        if (source is null) return IoRequest.Rent(engine, length, pattern ?? IoRequest.WriteFill, out data);
        byte[] content = ReadSource(source);
        IOBuffer buffer = IoRequest.Rent(engine, length, 0, out data);
        for (Span<byte> rest = data.Span; !rest.IsEmpty;)
        {
            int piece = Math.Min(content.Length, rest.Length);
            content.AsSpan(0, piece).CopyTo(rest);
            rest = rest[piece..];
        }

        return buffer;
    }

    private static byte[] ReadSource(string name)
    {
        try
        {
            byte[] content = File.ReadAllBytes(name);
            return content.Length > 0 ? content : throw new IoRefusal("") { ErrorText = $"{name}: file is empty\n" };
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            int errno = e is FileNotFoundException or DirectoryNotFoundException ? Errno.ENOENT
                : e is UnauthorizedAccessException ? Directory.Exists(name) ? Errno.EISDIR : Errno.EACCES
                : Errno.EIO;
            throw new IoRefusal("") { ErrorText = $"{name}: {Errno.Text(errno)}\n" };
        }
    }
}
