"""`python -m model.commands` and `torchrun -m model.commands`: the command `echo-model`."""

from __future__ import annotations

from model.commands.cli import main

if __name__ == "__main__":
    main()
