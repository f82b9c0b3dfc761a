namespace Varve.Qmp.Commands;

/// <summary>Every command, by name. Listed in code: nothing is discovered, so nothing is trimmed away.</summary>
internal static class CommandTable
{
    public static IReadOnlyList<QmpCommand> All { get; } =
    [
        new QmpCapabilities(), new QueryVersion(), new QueryCommands(), new QueryQmpSchema(), new Quit(),
        new BlockdevAdd(), new BlockdevDel(), new BlockdevCreate(), new BlockdevAmend(), new BlockResize(), new BlockdevChange(),
        new QueryNamedBlockNodes(), new QueryBlock(), new QueryBlockStats(), new DebugQueryBlockGraph(),
        new BlockdevSnapshot(), new BlockdevSnapshotSync(), new BlockdevSnapshotInternalSync(), new BlockdevSnapshotDeleteInternalSync(),
        new Transaction(), new BlockDirtyBitmapAdd(), new BlockDirtyBitmapRemove(), new BlockDirtyBitmapClear(), new BlockDirtyBitmapEnable(),
        new BlockDirtyBitmapDisable(), new BlockDirtyBitmapMerge(), new DebugBlockDirtyBitmapSha256(),
        new BlockStream(), new BlockCommit(), new ChangeBackingFile(),
        new BlockJobSetSpeed(), new BlockJobCancel(), new BlockJobPause(), new BlockJobResume(), new BlockJobComplete(),
        new BlockJobDismiss(), new BlockJobFinalize(), new BlockJobChange(), new QueryBlockJobs(),
        new JobPause(), new JobResume(), new JobCancel(), new JobComplete(), new JobDismiss(), new JobFinalize(), new QueryJobs(),
        new NbdServerStart(), new NbdServerAdd(), new NbdServerRemove(), new NbdServerStop(),
        new BlockExportAdd(), new BlockExportDel(), new QueryBlockExports(),
        new ObjectAdd(), new ObjectDel(), new QomList(), new QomGet(), new QomSet(),
        new GetFd(), new CloseFd(), new AddFd(), new RemoveFd(), new QueryFdSets(),
        new QueryChardev(), new ChardevAdd(), new ChardevRemove(),
    ];

    private static readonly Dictionary<string, QmpCommand> s_byName = All.ToDictionary(c => c.Name, StringComparer.Ordinal);

    public static QmpCommand? Find(string name) => s_byName.GetValueOrDefault(name);
}
