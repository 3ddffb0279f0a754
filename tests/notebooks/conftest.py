"""Makes the maintainers' tools importable."""

import sys

from tricks import ROOT

sys.path.insert(0, str(ROOT / "tools"))
