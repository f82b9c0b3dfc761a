using System.Text.Json.Nodes;

namespace Varve.Crypto.Luks;

/// <summary>What queries tell about a volume (QMP <c>QCryptoBlockInfoLUKS</c>), in the order in which the reference prints it.</summary>
internal static class LuksInfo
{
    /// <param name="header">Of the volume.</param>
    /// <param name="format">For <c>format</c>, where the union needs it.</param>
    public static JsonObject Of(LuksHeader header, string? format = null)
    {
        var info = new JsonObject
        {
            ["ivgen-alg"] = CipherText.Of(header.Cipher.IV),
            ["hash-alg"] = header.Hash.Name,
            ["cipher-alg"] = header.Cipher.Algorithm.Name,
            ["uuid"] = header.Uuid,
        };
        if (format is not null) info["format"] = format;
        if (header.Cipher.IVHash is { } hash) info["ivgen-hash-alg"] = hash.Name;
        info["cipher-mode"] = CipherText.Of(header.Cipher.Mode);
        info["slots"] = new JsonArray([.. header.Slots.Select(Describe)]);
        info["payload-offset"] = header.PayloadOffset;
        info["master-key-iters"] = header.Iterations;
        return info;
    }

    private static JsonNode Describe(LuksKeySlot slot)
    {
        var info = new JsonObject { ["active"] = slot.IsActive };
        if (slot.IsActive) info["iters"] = slot.Iterations;
        info["key-offset"] = slot.MaterialOffset;
        if (slot.IsActive) info["stripes"] = slot.Stripes;
        return info;
    }
}
