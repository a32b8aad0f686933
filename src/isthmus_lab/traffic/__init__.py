"""Traffic between pods: single probes, continuous load, and the web server in the pods.

Entry points: `probe.ping`, `probe.http`; `load` and `pod_server` run as processes of their own.
Imports `system` and `topology`; imported by the demo and tests.
"""
