"""`python -m triptych`, as `torchrun -m triptych` runs it."""

from triptych.cli.main import main

if __name__ == "__main__":
    main()
