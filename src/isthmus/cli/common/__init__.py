"""What verbs share: output, errors, confirmation, access to databases and daemons, logging.

Entry points: `output.print_lines`, `errors.CommandError`, `confirm.confirmed`,
`databases.read_databases`, `control.ask_daemon`, `groups.group`, `logs.log_to_stderr`. Imported by
verbs, of `isthmus` and of `isthmus_lab`; imports no verb.
"""
