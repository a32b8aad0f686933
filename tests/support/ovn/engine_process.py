"""Run our engine alone in a process: `python -m support.ovn.engine_process FLAGS`."""

import argparse
import logging

from isthmus.daemon.service import Settings, engine_alone
from isthmus.model.rows import Database


def main() -> None:
    """Run with ovn-ic's four database flags until SIGTERM."""
    parser = argparse.ArgumentParser()
    flags = {
        Database.NB: "--ovnnb-db",
        Database.SB: "--ovnsb-db",
        Database.IC_NB: "--ic-nb-db",
        Database.IC_SB: "--ic-sb-db",
    }
    for database, flag in flags.items():
        parser.add_argument(flag, dest=database.name, required=True)
    arguments = vars(parser.parse_args())
    logging.basicConfig(level=logging.DEBUG)
    remotes = {database: arguments[database.name] for database in flags}
    engine_alone(Settings(remotes)).run(lambda: None, frozenset(flags))


if __name__ == "__main__":
    main()
