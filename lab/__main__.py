"""python -m lab TWIN.yaml --out DIR"""

from __future__ import annotations

import sys

from lab.main import main

if __name__ == "__main__":
    sys.exit(main())
