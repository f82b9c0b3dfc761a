namespace Varve.Tests.Cli;

/// <content>Backing images: several deep, of other sizes and formats; what is on top is moved onto another, or into the one below.</content>
internal sealed partial class RoundTrip
{
    private const int MaxDepth = 4;

    private readonly List<Layer> _below = [];

    /// <summary>An image under the top one.</summary>
    private sealed record Layer(string File, string Format, byte[] Content);

    private async Task OverlayAsync()
    {
        if (_below.Count >= MaxDepth) return;
        Layer layer = new(_folder[_name], "qcow2", [.. _disk]);
        if (_random.Next(3) == 0) layer = await CopyLayerAsync(layer.Content);
        _below.Add(layer);
        _name = $"image{++_files}";
        if (_random.Next(2) == 0) Array.Resize(ref _disk, _random.Next(1, 65) << 14);
        string options = Options(mayHaveDataFile: true, hasBacking: true);
        await ToolAsync("img", ["create", "-q", "-f", "qcow2", "-o", options, "-b", layer.File, "-F", layer.Format, _folder[_name], $"{_disk.Length}"]);
    }

    /// <summary>The same content under another name, in a format of its own.</summary>
    private async Task<Layer> CopyLayerAsync(byte[] content)
    {
        string name = $"layer{++_files}", format = _random.Next(2) == 0 ? "raw" : "qcow2";
        await File.WriteAllBytesAsync(_folder[name + ".raw"], content);
        if (format == "raw") return new(_folder[name + ".raw"], format, content);
        await ToolAsync("img", ["convert", "-f", "raw", "-O", "qcow2", _folder[name + ".raw"], _folder[name]]);
        return new(_folder[name], format, content);
    }

    private async Task RebaseAsync()
    {
        switch (_random.Next(4))
        {
            case 0:
                // Another name for the same content: nothing is copied.
                Layer same = await CopyLayerAsync(_below[^1].Content);
                _below.Clear();
                _below.Add(same);
                await ToolAsync("img", ["rebase", "-q", .. Image("-u", "-b", same.File, "-F", same.Format)]);
                break;
            case 1:
                _below.Clear();
                await ToolAsync("img", ["rebase", "-q", .. Image("-b", "")]);
                break;
            case 2 when _below.Count > 1:
                _below.RemoveAt(_below.Count - 1);
                await ToolAsync("img", ["rebase", "-q", .. Image("-b", _below[^1].File, "-F", _below[^1].Format)]);
                break;
            default:
                byte[] content = new byte[_random.Next(1, 65) << 14];
                content.AsSpan(0, content.Length / 2).Fill((byte)_random.Next(256));
                Layer other = await CopyLayerAsync(content);
                _below.Clear();
                _below.Add(other);
                await ToolAsync("img", ["rebase", "-q", .. Image("-b", other.File, "-F", other.Format)]);
                break;
        }
    }

    /// <summary>Puts the top's content into the image below, which then holds it too.</summary>
    private async Task CommitAsync()
    {
        Layer below = _below[^1];
        await ToolAsync("img", ["commit", "-q", .. Image()]);
        byte[] content = new byte[Math.Max(_disk.Length, below.Content.Length)];
        below.Content.CopyTo(content, 0);
        _disk.CopyTo(content, 0);
        _below[^1] = below with { Content = content };
        foreach (bool ours in new[] { true, false })
        {
            await ToolAsync("img", ["convert", "-f", below.Format, "-O", "raw", below.File, _folder["raw"]], ours);
            Assert.True((await File.ReadAllBytesAsync(_folder["raw"])).AsSpan().SequenceEqual(content), "what was committed is not there");
        }
    }
}
