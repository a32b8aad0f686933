"""Manifests from a directory of YAML files.

Entry point: `directory.DirectorySource`, which the command line makes and the daemon polls. Nothing
else imports this package; `isthmus.kube.source` gives the same snapshots from the Kubernetes API.
"""
