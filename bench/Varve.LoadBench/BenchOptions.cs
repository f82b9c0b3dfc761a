using System.Globalization;

namespace Varve.LoadBench;

/// <summary>What is measured, and how often.</summary>
internal sealed record BenchOptions
{
    public const string Usage =
        """
        Varve.LoadBench [--server artifacts/bin/varve | --self-host] [--pairs N] [--seconds N] [--size-mib N]
                        [--only start,images,raw,qcow2,chain,allocate,stream,limits,growth] [--plots artifacts/bench] [--servers varve,qemu-io_uring,qemu-threads,nbdkit]
        Starts each tool, works on whole images, drives fio's nbd engine against each server in turn, streams; --pairs rounds, and prints medians and
        how far ahead ours is: above 1 it does more in the time, or takes less for the same.
        """;

    /// <summary>The executable that is measured; null (<c>--self-host</c>): this program serves, and only the servers are measured.</summary>
    public string? Server { get; init; } = Path.GetFullPath("artifacts/bin/varve");

    /// <summary>Rounds: in each, every server does every workload once.</summary>
    public int Pairs { get; init; } = 5;

    /// <summary>How long one workload runs.</summary>
    public int Seconds { get; init; } = 3;

    public long SizeMib { get; init; } = 1024;

    /// <summary>Where pictures go.</summary>
    public string Plots { get; init; } = "artifacts/bench";

    public IReadOnlyList<string> Only { get; init; } = ["start", "images", "raw", "qcow2", "chain", "allocate", "stream", "limits", "growth"];

    public IReadOnlyList<string> Servers { get; init; } = [ServerProcess.Varve, ServerProcess.QemuUring, ServerProcess.QemuThreads, ServerProcess.Nbdkit];

    public static bool TryParse(string[] args, out BenchOptions options, out string? error)
    {
        options = new BenchOptions();
        error = null;
        for (int i = 0; i < args.Length; i++)
        {
            string name = args[i];
            if (name == "--self-host")
            {
                options = options with { Server = null };
                continue;
            }

            if (i + 1 == args.Length)
            {
                error = $"{name}: unknown, or its value is missing";
                return false;
            }

            string value = args[++i];
            int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
            (BenchOptions next, bool isValid) = name switch
            {
                "--server" => (options with { Server = Path.GetFullPath(value) }, File.Exists(value)),
                "--pairs" => (options with { Pairs = number }, number > 0),
                "--seconds" => (options with { Seconds = number }, number > 0),
                "--size-mib" => (options with { SizeMib = number }, number > 0),
                "--plots" => (options with { Plots = value }, true),
                "--only" => (options with { Only = value.Split(',') }, true),
                "--servers" => (options with { Servers = value.Split(',') }, true),
                _ => (options, false),
            };
            options = next;
            if (isValid) continue;
            error = $"{name} {value}: not valid";
            return false;
        }

        return true;
    }
}
