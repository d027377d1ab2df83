"""Builds VGPhraseCut as Parquet with a card.

    python dataset_scripts/build_phrasecut.py --raw data/VGPhraseCut_v0 --out built/phrasecut

DIR of --raw holds refer_*.json, image_data_split.json and name_att_rel_count.json.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("phrasecut", __doc__))
