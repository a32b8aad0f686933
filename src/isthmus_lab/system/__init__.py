"""The lab's access to the machine: namespaces, processes, locks, the kernel's data path.

Entry points: `netns.inside`, `processes.run`, `processes.spawn`, `processes.stop`, `lock.locked`,
`datapath.probe`. Imported by `kube`, `traffic`, `build` and the modules above them.
"""
