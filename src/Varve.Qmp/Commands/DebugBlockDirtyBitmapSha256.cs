using System.Buffers;
using System.Security.Cryptography;
using System.Text.Json.Nodes;
using Varve.Bitmaps;
using Varve.Options;
using Varve.Qmp.Schema;
using Varve.Qmp.Server;
using static Varve.Options.OptionMember;

namespace Varve.Qmp.Commands;

/// <summary><c>x-debug-block-dirty-bitmap-sha256</c>: a hash of the bits, in whole 64-bit words, as they are stored.</summary>
internal sealed class DebugBlockDirtyBitmapSha256() : QmpCommand("x-debug-block-dirty-bitmap-sha256", BitmapTypes.Named)
{
    private const int PieceBytes = 64 << 10;

    public override OptionType Returns { get; } = new ObjectType("BlockDirtyBitmapSha256", [Required("sha256", OptionType.Str)]);

    public override IReadOnlyList<string> Features => ["unstable"];

    public override ValueTask<JsonNode?> ExecuteAsync(QmpCall call, CancellationToken cancellationToken)
    {
        DirtyBitmap bitmap = BitmapOperations.Find(NodeLookup.ByName(call.Context.Graph, call.Text("node")), call.Text("name"));
        return new(new JsonObject { ["sha256"] = Convert.ToHexStringLower(Hash(bitmap)) });
    }

    private static byte[] Hash(DirtyBitmap bitmap)
    {
        long size = Align.Up(Align.Count(Align.Count(bitmap.Length, bitmap.Granularity), 8), 8);
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] piece = ArrayPool<byte>.Shared.Rent(PieceBytes);
        for (long at = 0; at < size; at += PieceBytes)
        {
            Span<byte> bytes = piece.AsSpan(0, (int)Math.Min(PieceBytes, size - at));
            bitmap.CopyTo(at, bytes);
            hash.AppendData(bytes);
        }

        ArrayPool<byte>.Shared.Return(piece);
        return hash.GetHashAndReset();
    }
}
