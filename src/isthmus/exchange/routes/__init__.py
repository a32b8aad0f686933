"""Routes between zones: which are advertised and learned, and why not the others.

Entry points: `advertise` and `learned_routes` write; `options` and `import_policy` have the rules;
`learn` and `prefix_groups` decide. Imports `topology` and `zones` of `exchange`; only
`exchange.wiring` and `isthmus.inspect` import it.
"""
