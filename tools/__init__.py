# SPDX-License-Identifier: Apache-2.0
"""Programs for development: the local AWS, the demo, tests, benchmarks, deployment and cost.

Each runs from the repository's root, as in `python -m tools.demo`. The scripts in scripts/ do that.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
