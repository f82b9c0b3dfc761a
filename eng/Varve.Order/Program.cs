using System.Globalization;
using Varve.Order;

// Varve.Order PID SYMBOLS OUTPUT
//   Attaches to a process that has stopped itself and is about to become another program; lets it go on, and appends to OUTPUT the
//   functions that the program enters, each once, in the order of their first call.
//   SYMBOLS: lines of an address (hexadecimal), a kind and a name, as nm prints them, sorted by address: functions only.
if (args is not [var pidText, var symbols, var output] || !int.TryParse(pidText, CultureInfo.InvariantCulture, out int pid))
{
    Console.Error.WriteLine("Varve.Order PID SYMBOLS OUTPUT");
    return 2;
}

var functions = new SortedList<ulong, string>();
foreach (string[] fields in File.ReadLines(symbols).Select(line => line.Split(' ', 3)))
{
    functions.TryAdd(ulong.Parse(fields[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture), fields[2]);
}

var trace = new FirstCalls(functions);
await File.AppendAllLinesAsync(output, trace.Run(pid)).ConfigureAwait(false);
return 0;
