"""Builds ReferIt as text_objseg and RMI use it as Parquet with a card.

    python dataset_scripts/build_referit.py --raw text_objseg/exp-referit --out built/referit

DIR of --raw holds referit_query_*.json, referit_bbox.json, referit_imcrop.json, referit_imsize.json and mask/*.mat.
"""

import sys

from hf_refseg.data.builders.command import main

if __name__ == "__main__":
    sys.exit(main("referit", __doc__))
