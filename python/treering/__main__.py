"""`python -m treering`: the `treering` command where no script is installed."""

from treering.cli import main

if __name__ == "__main__":
    main()
