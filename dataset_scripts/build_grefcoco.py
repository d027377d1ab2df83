"""Builds gRefCOCO as Parquet with a card.

    python dataset_scripts/build_grefcoco.py --raw data/grefcoco --out built/grefcoco

DIR of --raw holds grefs(unc).json and instances.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("grefcoco", __doc__))
