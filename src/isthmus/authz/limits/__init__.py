"""Limits of the authorizing proxy: what one zone may send and store, see model/bounds.py.

`transaction` bounds one transaction, `row_quotas` what a zone stores. Both are pure; the rules and
the authorizer call them. They raise `RefusedError` with the name of the bound. `rates` delays a
zone that sends too fast; the sessions call it.
"""
