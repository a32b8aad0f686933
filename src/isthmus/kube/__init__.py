"""The Kubernetes API: manifests that are read from it, and what is published to it.

Entry points: `client.Client` with `credentials.KubeCredentials`, `source.KubernetesSource`, and the
writers of `publish`. Imported by the command line, which makes the parts, and by the lab, which
uses the client. The only package that imports urllib3.
"""
