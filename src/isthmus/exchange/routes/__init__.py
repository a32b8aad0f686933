"""Routes between zones: which are advertised and learned, and why not the others.

Entry points: `advertised_routes` and `learned_routes` write; `advertise`, `learn` and
`prefix_groups` decide, by the rules of `options` and `import_policy`. Imports `topology` and
`zones` of `exchange`; `exchange.wiring`, `isthmus.inspect` and `isthmus.daemon` import it.
"""
