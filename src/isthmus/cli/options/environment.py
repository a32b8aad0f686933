"""The environment variables through which verbs find a running daemon.

The container of deploy/kubernetes sets them, so that verbs started with `kubectl exec` use the
daemon in the same pod; they can be set anywhere. Imports nothing, so that `isthmus.cli.health`
starts quickly.
"""

CONTROL_SOCKET = "ISTHMUS_UNIXCTL"
"""The control socket on which the daemon listens, and to which verbs connect."""

PRIVATE_KEY = "ISTHMUS_PRIVATE_KEY"
CERTIFICATE = "ISTHMUS_CERTIFICATE"
CA_CERT = "ISTHMUS_CA_CERT"
"""Files for ssl: remotes; the same as the options of `isthmus` with these names."""
