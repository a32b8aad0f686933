"""Replacements for parts of the `ovs` package that are slow or faulty.

Each module says which fault it corrects. `isthmus.ovsdb.session` installs `json_parser` and `utf8`;
`isthmus ovn-ic` installs `logging`. Nothing else imports them.
"""
