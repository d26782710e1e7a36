"""`python -m langchain_optscale.cli`."""

import sys

from langchain_optscale.cli.main import main

sys.exit(main())
