"""`python -m popoto`: the command line."""

import sys

from popoto.cli import main

sys.exit(main())
