"""Builds RefCOCO+ (unc) as Parquet with a card.

    python dataset_scripts/build_refcocoplus.py --raw data/refcoco+ --out built/refcocoplus

DIR of --raw holds refs(unc).p and instances.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("refcocoplus", __doc__))
