"""Train a model by a recipe, as `hf-refseg train` does: `accelerate launch train.py r_rmi --path data/refcoco`."""

import sys

from hf_refseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
