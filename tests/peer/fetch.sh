#!/usr/bin/env bash
# Download the source of the installed transformers version, which holds its own common tests, into the folder $1.
set -euo pipefail
folder="${1:?usage: bash tests/peer/fetch.sh FOLDER}"
version="$(python -c 'import transformers; print(transformers.__version__)')"
mkdir -p "$folder"
pip download --quiet --no-deps --no-build-isolation --no-binary transformers --dest "$folder" "transformers==$version"
tar -xzf "$folder/transformers-$version.tar.gz" --directory "$folder" --strip-components=1
touch "$folder/tests/__init__.py"  # left out of the release; test_configuration_common.py reads it
