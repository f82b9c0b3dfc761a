using System.Text;

namespace Varve.Fuzz;

/// <summary>Something that takes bytes of strangers.</summary>
internal abstract class FuzzTarget
{
    /// <summary>As on the command line.</summary>
    public abstract string Name { get; }

    /// <summary>Inputs to begin with.</summary>
    public abstract IEnumerable<byte[]> Seeds { get; }

    /// <summary>Words that inputs of this kind have in them.</summary>
    public virtual IReadOnlyList<byte[]> Words => [];

    /// <summary>Longer inputs are not made.</summary>
    public virtual int MaxLength => 4096;

    /// <summary>Whether inputs keep their length: fields lie at fixed places.</summary>
    public virtual bool HasFixedLayout => false;

    /// <summary>Gives an input to the product. What it throws, but for <see cref="BlockException"/>, is a find.</summary>
    /// <returns>How it ended, in a word or a message: what was never seen before makes the input worth keeping.</returns>
    public abstract string Run(byte[] input);

    /// <summary>Every target.</summary>
    public static IReadOnlyList<FuzzTarget> All { get; } =
    [
        .. Targets.Qcow2Target.Each,
        new Targets.InspectTarget(),
        new Targets.LuksTarget(),
        new Targets.NbdServerTarget(),
        new Targets.NbdClientTarget(),
        new Targets.QmpTarget(),
        new Targets.OptionsTarget(),
        new Targets.CommandLineTarget(),
    ];

    /// <summary>The files checked in under <c>Seeds/NAME</c>.</summary>
    protected static IEnumerable<byte[]> SeedFiles(string name)
    {
        foreach (string resource in typeof(FuzzTarget).Assembly.GetManifestResourceNames().Where(n => n.StartsWith(name + "/", StringComparison.Ordinal)).Order(StringComparer.Ordinal))
        {
            using Stream stream = typeof(FuzzTarget).Assembly.GetManifestResourceStream(resource)!;
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            yield return bytes;
        }
    }

    protected static IReadOnlyList<byte[]> WordsOf(string words) => [.. words.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(Encoding.UTF8.GetBytes)];
}
