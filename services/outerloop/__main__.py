"""`python -m outerloop`."""

from outerloop.cli import main

main()
