"""Certificates of the IC databases: issuing, parsing, checking, and files.

Entry points: `ca_pair.new_ca_pair`, `certificates.issue` and `renew` (for `isthmus pki` and the
lab), `certificate_info.parse_pem`, and `files.check_files` (for everything that is given a
directory with TLS files). Imported by `ovsdb` and the layers above.
"""
