namespace Varve;

/// <summary>One image of an opened chain.</summary>
/// <param name="FileName">The name it was opened by.</param>
/// <param name="Format">Its driver.</param>
/// <param name="Length">Bytes of its virtual disk.</param>
/// <param name="RecordedBackingFile">The backing file name its header records, verbatim; null when it names none.</param>
/// <param name="RecordedBackingFormat">The backing format its header records; null when it records none.</param>
public sealed record ChainImage(string FileName, string Format, long Length, string? RecordedBackingFile, string? RecordedBackingFormat);
