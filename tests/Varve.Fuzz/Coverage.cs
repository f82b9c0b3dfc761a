using System.Runtime.InteropServices;

namespace Varve.Fuzz;

/// <summary>Which branches ran, where the assemblies were instrumented by SharpFuzz (eng/fuzz does it); otherwise nothing is seen.</summary>
/// <remarks>The map is AFL's: a counter for each pair of branches, counted in classes so that 2 and 3 times differ, but 40 and 41 do not.</remarks>
internal sealed unsafe class Coverage
{
    private const int MapSize = 1 << 16;

    private readonly byte* _map = (byte*)NativeMemory.AllocZeroed(MapSize);
    private readonly byte[] _seen = new byte[MapSize];

    /// <summary>Before any instrumented code runs.</summary>
    public Coverage() => SharpFuzz.Common.Trace.SharedMem = _map;

    /// <summary>How many pairs of branches were seen at all.</summary>
    public int Edges { get; private set; }

    /// <summary>Forgets what the last run did.</summary>
    public void Begin()
    {
        new Span<byte>(_map, MapSize).Clear();
        SharpFuzz.Common.Trace.PrevLocation = 0;
    }

    /// <summary>Whether the run since <see cref="Begin"/> did something that none did before.</summary>
    public bool TakeNews()
    {
        var map = new Span<ulong>(_map, MapSize / 8);
        bool isNew = false;
        for (int i = 0; i < map.Length; i++)
        {
            if (map[i] == 0) continue;
            for (int at = i * 8; at < i * 8 + 8; at++)
            {
                byte bit = ClassOf(_map[at]);
                if ((_seen[at] & bit) == bit) continue;
                if (_seen[at] == 0) Edges++;
                _seen[at] |= bit;
                isNew = true;
            }
        }

        return isNew;
    }

    private static byte ClassOf(byte count) => count switch
    {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        < 8 => 8,
        < 16 => 16,
        < 32 => 32,
        < 128 => 64,
        _ => 128,
    };
}
