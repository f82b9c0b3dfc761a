namespace Varve.Tests.Cli;

/// <content>What new images are like, and how an image is named on a command line.</content>
internal sealed partial class RoundTrip
{
    private static readonly string[] Secret = ["--object", "secret,id=s,data=123456"];

    /// <summary>The arguments that name the image, behind other options.</summary>
    private string[] Image(params string[] options)
    {
        string file = _folder[_name];
        return _encryption switch
        {
            "" => ["-f", "qcow2", .. options, file],
            "volume" => [.. Secret, .. options, "--image-opts", $"driver=luks,key-secret=s,file.driver=file,file.filename={file}"],
            _ => [.. Secret, .. options, "--image-opts", $"driver=qcow2,encrypt.key-secret=s,file.driver=file,file.filename={file}"],
        };
    }

    /// <summary>Draws what the next image is like: <c>-f</c>, the format, and its options.</summary>
    private string[] NewImage()
    {
        _encryption = _random.Next(10) switch { 0 => "luks", 1 => "volume", 2 => "aes", _ => "" };
        _hasDataFile = _isVersion2 = _mayBecomeVersion2 = false;
        if (_encryption == "volume") return ["-f", "luks", .. Secret, "-o", "key-secret=s,iter-time=10"];
        string options = Options(mayHaveDataFile: !IsEncrypted);
        return _encryption switch
        {
            "luks" => ["-f", "qcow2", .. Secret, "-o", $"{options},encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10"],
            "aes" => ["-f", "qcow2", .. Secret, "-o", $"{options},encrypt.format=aes,encrypt.key-secret=s"],
            _ => ["-f", "qcow2", "-o", options],
        };
    }

    private string Options(bool mayHaveDataFile, bool hasBacking = false)
    {
        _isVersion2 = _random.Next(6) == 0;
        _clusterSize = 512 << _random.Next(9);
        var options = new List<string> { $"cluster_size={_clusterSize}", _isVersion2 ? "compat=0.10" : "compat=1.1" };
        _hasDataFile = false;
        _mayBecomeVersion2 = !IsEncrypted;
        if (_isVersion2) return string.Join(',', options);
        int bits = 1 << _random.Next(3, 7);
        options.Add($"refcount_bits={bits}");
        if (_random.Next(4) == 0) options.Add("lazy_refcounts=on");
        bool isExtended = _clusterSize >= 16 << 10 && _random.Next(3) == 0;
        if (isExtended) options.Add("extended_l2=on");
        bool isZstd = false;
        if (mayHaveDataFile && _random.Next(5) == 0)
        {
            _hasDataFile = true;
            options.Add($"data_file={_folder[$"data{_files}"]}");
            if (!hasBacking && _random.Next(2) == 0) options.Add("data_file_raw=on");
        }
        else if (_random.Next(3) == 0)
        {
            isZstd = true;
            options.Add("compression_type=zstd");
        }

        _mayBecomeVersion2 &= bits == 16 && !isExtended && !isZstd && !_hasDataFile;
        return string.Join(',', options);
    }

    /// <summary>Between versions, and between widths of refcounts.</summary>
    private async Task AmendAsync()
    {
        bool changesVersion = _isVersion2 || (_mayBecomeVersion2 && _random.Next(2) == 0);
        string option = changesVersion ? (_isVersion2 ? "compat=1.1" : "compat=0.10") : _random.Next(2) == 0 ? "lazy_refcounts=on" : "lazy_refcounts=off";
        if (!changesVersion && !_mayBecomeVersion2 && _random.Next(2) == 0) option = $"refcount_bits={1 << _random.Next(3, 7)}";
        await ToolAsync("img", ["amend", .. Image("-o", option)]);
        if (changesVersion) _isVersion2 = !_isVersion2;
    }
}
