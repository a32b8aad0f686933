"""The authorizing proxy: the TLS server in front of the IC databases' servers.

Zones may read everything and write only their own rows; docs/decisions/0014 says why. Entry points:
`proxy.AuthorizingProxy` (the server), `plan.with_authorization` (how `isthmus ic-db run` starts
it), `status.proxy_status` (for `isthmus ic-db status`) and `rules.checked` (the rules, pure). Only
`isthmus.cli` may import this package.
"""
