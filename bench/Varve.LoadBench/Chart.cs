using System.Globalization;
using System.Text;

namespace Varve.LoadBench;

/// <summary>How a cost grows, as a line for each side: an SVG file, both axes logarithmic.</summary>
/// <param name="title">What is measured, and its unit.</param>
/// <param name="axis">What grows.</param>
internal sealed class Chart(string title, string axis)
{
    private const int Width = 640, Height = 400, Left = 70, Right = 150, Top = 40, Bottom = 50;
    private static readonly string[] s_colors = ["#0b6e4f", "#c1440e", "#3d5a80", "#9a8c98"];

    private readonly Dictionary<string, SortedDictionary<double, List<double>>> _lines = [];
    private readonly SortedDictionary<double, string> _labels = [];

    /// <summary>Adds a measurement; of several at one place the median counts.</summary>
    public void Add(string side, double x, string label, double y)
    {
        _labels[x] = label;
        if (!_lines.TryGetValue(side, out SortedDictionary<double, List<double>>? line)) _lines[side] = line = [];
        if (!line.TryGetValue(x, out List<double>? values)) line[x] = values = [];
        values.Add(y);
    }

    /// <summary>Writes the picture.</summary>
    public void WriteTo(string path)
    {
        double[] all = [.. _lines.Values.SelectMany(l => l.Values.Select(Report.Median))];
        int low = (int)Math.Floor(Math.Log10(all.Min())), high = (int)Math.Ceiling(Math.Log10(all.Max()));
        if (high == low) high++;
        double first = Math.Log2(_labels.Keys.First()), last = Math.Log2(_labels.Keys.Last());

        var svg = new StringBuilder();
        Line($"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {Width} {Height}' font-family='sans-serif' font-size='12'>");
        Line($"<rect width='{Width}' height='{Height}' fill='white'/>");
        Line($"<text x='{Left}' y='22' font-size='14'>{title}</text>");
        Line($"<text x='{(Left + Width - Right) / 2}' y='{Height - 12}' text-anchor='middle'>{axis}</text>");
        for (int power = low; power <= high; power++)
        {
            double y = Y(Math.Pow(10, power));
            Line($"<line x1='{Left}' x2='{Width - Right}' y1='{y:F1}' y2='{y:F1}' stroke='#dddddd'/>");
            Line($"<text x='{Left - 8}' y='{y + 4:F1}' text-anchor='end'>{(power < 0 ? Math.Pow(10, power).ToString(CultureInfo.InvariantCulture) : Math.Pow(10, power).ToString("#,0", CultureInfo.InvariantCulture))}</text>");
        }

        foreach ((double x, string label) in _labels) Line($"<text x='{X(x):F1}' y='{Height - Bottom + 18}' text-anchor='middle'>{label}</text>");
        int index = 0;
        foreach ((string side, SortedDictionary<double, List<double>> line) in _lines)
        {
            string color = s_colors[index % s_colors.Length];
            (double X, double Y)[] points = [.. line.Select(p => (X(p.Key), Y(Report.Median(p.Value))))];
            Line($"<polyline fill='none' stroke='{color}' stroke-width='2' points='{string.Join(' ', points.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.X:F1},{p.Y:F1}")))}'/>");
            foreach ((double x, double y) in points) Line($"<circle cx='{x:F1}' cy='{y:F1}' r='3' fill='{color}'/>");
            Line($"<text x='{Width - Right + 12}' y='{Top + 14 + (index++ * 18)}' fill='{color}'>{side}</text>");
        }

        svg.Append("</svg>\n");
        File.WriteAllText(path, svg.ToString());

        void Line(FormattableString text) => svg.Append(text.ToString(CultureInfo.InvariantCulture)).Append('\n');
        double X(double value) => Left + ((Math.Log2(value) - first) / Math.Max(last - first, 1) * (Width - Left - Right));
        double Y(double value) => Height - Bottom - ((Math.Log10(value) - low) / (high - low) * (Height - Top - Bottom));
    }
}
