"""`python -m langchain_optscale`."""

import sys

from langchain_optscale.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
