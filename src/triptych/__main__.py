"""Start the command line: `triptych`, or `python -m triptych`."""

from triptych.cli.own_code import run_code_of_project


def main() -> None:
    """Run the command line with the code of the project."""
    run_code_of_project()
    from triptych.cli.main import main as run_command_line  # after the choice of the code, since its imports take time

    run_command_line()


if __name__ == "__main__":
    main()
