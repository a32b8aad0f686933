"""Flags and environment variables that several verbs have, with their checks.

Entry points: the types in `remotes`, `tls.tls_of`, `tls.tls_in`, `manifests.manifest_source`,
`run_dir.run_dir`, the names in `environment`. Imported by verbs and by `cli.common`.
"""
