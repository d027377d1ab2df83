"""Builds RefCLEF (berkeley, unc) as Parquet with a card.

    python dataset_scripts/build_refclef.py --raw data/refclef --out built/refclef

DIR of --raw holds refs(berkeley).p, refs(unc).p and instances.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("refclef", __doc__))
