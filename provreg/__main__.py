"""`python -m provreg`."""

from provreg.cli import main

main()
