"""`python -m service.cli` is the command `tollkeeper`."""

from service.cli import main

main()
