"""A tiny built set of photos: dogs, red at the left and blue at the right."""

import pytest
from raw_photo_sets import write_raw

from hf_refseg.data.photos import splits
from hf_refseg.data.photos.building import build_photos


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(splits, "HELD_OUT_PERCENT", 40)
        build_photos(write_raw(root / "raw"), root / "built")
    return root / "built"
