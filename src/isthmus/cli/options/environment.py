"""The environment variables by which programs started beside a daemon find it.

Set in the container of deploy/kubernetes, where `kubectl exec` starts verbs in the daemon's pod.
They can be set anywhere. Imports nothing: `isthmus.cli.health` must be quick to start.
"""

CONTROL_SOCKET = "ISTHMUS_UNIXCTL"
"""The control socket: the daemon listens there, and verbs ask there."""

PRIVATE_KEY = "ISTHMUS_PRIVATE_KEY"
CERTIFICATE = "ISTHMUS_CERTIFICATE"
CA_CERT = "ISTHMUS_CA_CERT"
"""Files for ssl: remotes, the options of `isthmus` by the same names."""
