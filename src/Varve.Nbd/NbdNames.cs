using Varve.Graph;
using Varve.Nbd.Client;

namespace Varve.Nbd;

/// <summary>Lets disks be opened by names like <c>nbd://host/export</c>.</summary>
public static class NbdNames
{
    private static readonly Lazy<bool> s_registered = new(() =>
    {
        BlockDrivers.Default.Add(new NbdDriver());
        return true;
    });

    /// <summary>From now on every block layer of the process opens NBD names, also where an image names one as its backing file and the
    /// caller's policy allows it. Called again, it does nothing.</summary>
    public static void Register() => _ = s_registered.Value;
}
