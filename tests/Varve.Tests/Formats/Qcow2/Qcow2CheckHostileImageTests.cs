using System.Buffers.Binary;
using Varve.Graph;
using Varve.Tests.Support;

namespace Varve.Tests.Formats.Qcow2;

/// <summary>Images with random words in their tables: checked, repaired and read, they end in <see cref="BlockException"/> at worst.</summary>
public sealed class Qcow2CheckHostileImageTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public async Task Random_damage_ends_in_an_answer(int seed)
    {
        var random = new Random(seed);
        for (int i = 0; i < 60; i++)
        {
            await using MemoryImage image = await FilledAsync(random);
            byte[] bytes = image.File.ToArray();
            for (int n = random.Next(1, 6); n > 0; n--) Damage(bytes, random);
            image.Memory.Files["image"] = new MemoryBytes(bytes);
            await AnswerAsync(async () => await image.CheckAsync());
            await AnswerAsync(() => ReadAsync(image));
            await AnswerAsync(async () => await image.CheckAsync(CheckRepair.All));
            await AnswerAsync(() => ReadAsync(image));
        }
    }

    [Fact]
    public async Task What_a_repair_calls_repaired_checks_clean()
    {
        var random = new Random(77);
        for (int i = 0; i < 60; i++)
        {
            await using MemoryImage image = await FilledAsync(random);
            byte[] bytes = image.File.ToArray();
            Damage(bytes, random);
            image.Memory.Files["image"] = new MemoryBytes(bytes);
            await AnswerAsync(async () =>
            {
                (CheckResult repaired, _) = await image.CheckAsync(CheckRepair.All);
                (CheckResult second, List<string> lines) = await image.CheckAsync();
                Assert.True(
                    second.Corruptions <= repaired.Corruptions && second.Leaks == 0, $"{i}: {string.Join('\n', lines)}");
            });
        }
    }

    private static async Task<MemoryImage> FilledAsync(Random random)
    {
        int clusterSize = 512 << random.Next(4);
        MemoryImage image = await MemoryImage.CreateAsync(
            256.KiB, $$"""{"cluster-size": {{clusterSize}}, "refcount-bits": {{1 << random.Next(7)}}}""");
        await using OpenedImage opened = await image.OpenAsync();
        for (int n = 0; n < 10; n++) await opened.Backend.WriteAsync(random.Next(250) << 10, new byte[4000]);
        return image;
    }

    /// <summary>A random word where tables are: small, huge, or almost right.</summary>
    private static void Damage(byte[] bytes, Random random)
    {
        int at = random.Next(Math.Min(bytes.Length, 40 << 10) / 8) * 8;
        if (random.Next(4) == 0) at = random.Next(8, 112);      // the header, but not its magic
        Span<byte> word = bytes.AsSpan(Math.Min(at, bytes.Length - 8), 8);
        ulong old = BinaryPrimitives.ReadUInt64BigEndian(word);
        ulong damaged = random.Next(4) switch
        {
            0 => old ^ (1UL << random.Next(64)),
            1 => (ulong)random.NextInt64(),
            2 => (ulong)random.Next(64) << 9 | 1UL << 63,
            _ => old + (ulong)random.Next(-3, 4) * 512,
        };
        BinaryPrimitives.WriteUInt64BigEndian(word, damaged);
    }

    private static async Task ReadAsync(MemoryImage image)
    {
        await using OpenedImage opened = await image.OpenAsync(readOnly: true);
        byte[] buffer = new byte[Math.Min(opened.Backend.Length, 1 << 20)];
        await opened.Backend.ReadAsync(0, buffer);
    }

    private static async Task AnswerAsync(Func<Task> ask)
    {
        try
        {
            await ask().WaitAsync(TimeSpan.FromSeconds(60));
        }
        catch (BlockException)
        {
            // An answer, too.
        }
    }
}
