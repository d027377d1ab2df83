"""One build of RefCOCO and one of PhraseCut from small official copies, for every test that reads built data sets."""

import pytest
from official_copies import write_phrasecut, write_refer

from hf_refseg.data.builders import BuildOptions, build
from hf_refseg.data.catalogue import find_dataset


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """{"raw": root of the copies, "refcoco": built with pictures, "phrasecut": built without}."""
    root = tmp_path_factory.mktemp("built")
    raw = root / "raw"
    for partition in ("unc", "google"):
        write_refer(raw, "refcoco", partition)
    write_phrasecut(raw)
    pictures = raw / "images" / "mscoco" / "images" / "train2014"
    options = {"raw": raw, "allow_other_counts": True, "rows_per_shard": 2}
    unc, google = find_dataset("refcoco_unc"), find_dataset("refcoco_google")
    build([unc, google], BuildOptions(out=root / "refcoco", images=pictures, pictures_per_shard=3, **options))
    build([find_dataset("phrasecut")], BuildOptions(out=root / "phrasecut", **options))
    return {"raw": raw, "refcoco": root / "refcoco", "phrasecut": root / "phrasecut", "pictures": pictures}
