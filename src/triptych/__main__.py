"""`python -m triptych`, as `torchrun -m triptych` runs it."""

from triptych.cli import main

if __name__ == "__main__":
    main()
