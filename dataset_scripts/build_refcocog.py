"""Builds RefCOCOg (google, umd) as Parquet with a card.

    python dataset_scripts/build_refcocog.py --raw data/refcocog --out built/refcocog

DIR of --raw holds refs(google).p, refs(umd).p and instances.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("refcocog", __doc__))
