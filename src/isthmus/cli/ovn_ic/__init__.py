"""The verb `isthmus ovn-ic`, a drop-in replacement for OVN's daemon of that name.

Entry points: `command.verb` and `command.main`; `options.parse` reads the command line. Imported
only by `cli.main`.
"""
