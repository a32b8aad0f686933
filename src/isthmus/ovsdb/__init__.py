"""Everything that speaks OVSDB, and the only importer of the `ovs` package.

Entry points: `session.Session` (a kept-up replica with transactions and a lock), `oneshot.read` and
`oneshot.write` (once), `jsonrpc.JsonRpcClient` (questions to one server), `unixctl.ControlServer`
and `unixctl_client.ask` (control sockets), `daemonize.Daemon`, and `tls.Tls`. Imported by `icdb`,
`authz`, `daemon`, `inspect` and `cli`.
"""
