"""Run the command line with `python -m triptych`."""

from triptych.cli.main import main

if __name__ == "__main__":
    main()
