using Varve.Formats.Qcow2;
using Varve.Interop.Linux;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>The system's zstd and the managed one, which serves where there is none, understand each other and refuse the same.</summary>
public sealed class ZstdTests
{
    private const int Size = 65536;

    public static TheoryData<bool, bool> Directions => new() { { false, false }, { false, true }, { true, false }, { true, true } };

    [Fact]
    public void The_system_that_runs_the_tests_has_the_library() => Assert.True(Libzstd.IsAvailable);

    [Theory]
    [MemberData(nameof(Directions))]
    public void What_one_writes_the_other_reads_whatever_lies_behind_it(bool managedWrites, bool managedReads)
    {
        byte[] source = Text(), packed = new byte[Size], back = new byte[Size];
        using Zstd writer = Make(managedWrites), reader = Make(managedReads);
        for (int round = 0; round < 3; round++)
        {
            int length = writer.Compress(source, packed)!.Value;
            Assert.InRange(length, 100, Size / 2);
            new Random(round).NextBytes(packed.AsSpan(length));
            Assert.True(reader.Decompress(packed, back));
            Assert.Equal(source, back);
            back.AsSpan().Clear();
            Assert.True(reader.Decompress(packed.AsSpan(0, length), back));
            Assert.Equal(source, back);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_is_cut_off_damaged_or_too_short_is_refused_and_the_next_is_read(bool isManaged)
    {
        byte[] source = Text(), packed = new byte[Size], back = new byte[Size];
        using Zstd zstd = Make(isManaged);
        int length = zstd.Compress(source, packed)!.Value;
        Assert.False(zstd.Decompress(packed.AsSpan(0, length / 2), back));
        Assert.False(zstd.Decompress([], back));
        Assert.False(zstd.Decompress(new byte[100], back));
        Assert.False(zstd.Decompress(packed.AsSpan(0, length), new byte[Size + 1]));
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            byte[] damaged = packed[..length];
            for (int i = 0; i < 8; i++) damaged[random.Next(length)] ^= (byte)random.Next(1, 256);
            zstd.Decompress(damaged, back);   // may succeed with wrong bytes: there is no checksum
        }

        Assert.True(zstd.Decompress(packed.AsSpan(0, length), back));
        Assert.Equal(source, back);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_does_not_get_smaller_is_told(bool isManaged)
    {
        byte[] noise = new byte[Size];
        new Random(1).NextBytes(noise);
        using Zstd zstd = Make(isManaged);
        Assert.Null(zstd.Compress(noise, new byte[Size - 1]));
        Assert.NotNull(zstd.Compress(Text(), new byte[Size - 1]));
    }

    private static Zstd Make(bool isManaged) => isManaged ? new Zstd.ManagedZstd() : Zstd.Create();

    private static byte[] Text()
    {
        var random = new Random(7);
        byte[] text = new byte[Size];
        for (int i = 0; i < Size; i++) text[i] = (byte)('a' + (random.Next(4) == 0 ? random.Next(26) : i % 5));
        return text;
    }
}
