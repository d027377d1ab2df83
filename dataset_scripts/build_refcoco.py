"""Builds RefCOCO (unc, google) as Parquet with a card.

    python dataset_scripts/build_refcoco.py --raw data/refcoco --out built/refcoco

DIR of --raw holds refs(unc).p, refs(google).p and instances.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("refcoco", __doc__))
