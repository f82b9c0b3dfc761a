using System.Runtime.CompilerServices;
using Varve.Nbd;

namespace Varve.Tests;

internal static class Setup
{
    /// <summary>Before any test looks at the drivers: the set is the one the tools have.</summary>
    [ModuleInitializer]
    internal static void RegisterDrivers() => NbdNames.Register();
}
