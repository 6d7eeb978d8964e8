"""The command line as ``python -m nwb_ophys``, where the program is not on the path."""

from nwb_ophys.cli import main

if __name__ == "__main__":
    main()
