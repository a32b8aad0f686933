"""Traffic between pods: probes, and the web server in the pods.

Entry points: `probe.ping`, `probe.http`; `pod_server` runs as a process of its own.
Imports `system` and `topology`; imported by the demo and tests.
"""
