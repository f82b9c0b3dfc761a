namespace Varve;

/// <summary>One thing an inspection found.</summary>
/// <param name="Verdict">The verdict this alone leads to; <see cref="InspectionVerdict.Safe"/> for a remark.</param>
/// <param name="Code">What it is, for programs: lower case, words joined by dashes.</param>
/// <param name="Message">What it is, for people: names the thing and the value. Text from the image is not escaped.</param>
/// <param name="Count">How often it was found; the message is about the first.</param>
public sealed record InspectionFinding(InspectionVerdict Verdict, string Code, string Message, int Count = 1);
