"""`python -m isthmus`: the command line, for programs that start it with their own interpreter."""

from isthmus.cli.main import main

if __name__ == "__main__":
    main()
