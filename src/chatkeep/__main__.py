"""`python -m chatkeep`."""

from chatkeep.cli import main

main()
