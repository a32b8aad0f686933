"""Kubernetes for the lab: API servers, their credentials, and the objects of a cluster.

Entry points: `objects.objects_of`, `objects.kube_api`, `server.KubeServer`, `assets.program`.
Imports `system` and `topology`; imported by `build` and the modules above it.
"""
