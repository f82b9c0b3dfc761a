using Varve.Cli.CommandLine;

namespace Varve.Tests.Cli;

public sealed class OptionReaderTests
{
    private static readonly OptionTable s_table = new(
        "hf:o:q", ("help", "h"), ("format:", "f"), ("force-share", "U"), ("object:", null), ("output:", null));

    /// <summary>Everything a command line means, in one line: <c>f=raw q [a b]</c>.</summary>
    private static string Read(OperandOrder order, params string[] arguments)
    {
        var reader = new OptionReader(s_table, arguments, order);
        var seen = new List<string>();
        for (OptionEvent next; (next = reader.Next()) != OptionEvent.End;)
        {
            seen.Add(next switch
            {
                OptionEvent.Option => reader.Argument.Length > 0 ? $"{reader.Key}={reader.Argument}" : reader.Key,
                OptionEvent.Operand => $"<{reader.Argument}>",
                _ => $"!{reader.Problem} ({reader.LastRead})",
            });
        }

        return string.Join(' ', [.. seen, $"[{string.Join(' ', reader.Operands)}]"]);
    }

    [Theory]
    [InlineData("-q -f raw a", "q f=raw [a]")]
    [InlineData("-qfraw a", "q f=raw [a]")]
    [InlineData("a -q b -f raw c", "q f=raw [a b c]")]
    [InlineData("--format raw --format=qcow2", "f=raw f=qcow2 []")]
    [InlineData("--form raw", "f=raw []")]
    [InlineData("--obj x --outp=y", "object=x output=y []")]
    [InlineData("--format= a", "f [a]")]
    [InlineData("-- -q a", "[-q a]")]
    [InlineData("a -- -q", "[a -q]")]
    [InlineData("- -q", "q [-]")]
    [InlineData("-f -q", "f=-q []")]
    public void Options_are_read_as_getopt_long_reads_them(string line, string meaning)
        => Assert.Equal(meaning, Read(OperandOrder.Permute, line.Split(' ')));

    [Theory]
    [InlineData("--nope", "!unrecognized option '--nope' (--nope) []")]
    [InlineData("a -x", "!invalid option -- 'x' (-x) [a]")]
    [InlineData("a -xq", "!invalid option -- 'x' (a) q [a]")]
    [InlineData("-f", "!option requires an argument -- 'f' (-f) []")]
    [InlineData("--format", "!option '--format' requires an argument (--format) []")]
    [InlineData("--help=x", "!option '--help' doesn't allow an argument (--help=x) []")]
    [InlineData("--fo", "!option '--fo' is ambiguous; possibilities: '--format' '--force-share' (--fo) []")]
    public void What_is_wrong_is_said_in_getopt_longs_words(string line, string meaning)
        => Assert.Equal(meaning, Read(OperandOrder.Permute, line.Split(' ')));

    [Fact]
    public void The_first_operand_may_end_the_options()
        => Assert.Equal("q [info -f raw]", Read(OperandOrder.StopAtFirst, "-q", "info", "-f", "raw"));

    [Fact]
    public void Operands_may_be_reported_where_they_stand()
        => Assert.Equal("q <a> f=raw []", Read(OperandOrder.InPlace, "-q", "a", "-f", "raw"));
}
