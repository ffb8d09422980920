"""`sitrep`, and `python -m ingest`: the command line (`ingest.command_line`)."""

from ingest.command_line import main

if __name__ == "__main__":
    main()
