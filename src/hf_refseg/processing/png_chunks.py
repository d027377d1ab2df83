"""The pixels of a PNG file whose metadata is damaged: Pillow then refuses all of it."""

import zlib
from typing import BinaryIO

SIGNATURE = b"\x89PNG\r\n\x1a\n"
OF_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
OF_PLACE = b"eXIf"  # which way is up
FRAME = 12  # bytes of a chunk beside its content: length, kind, checksum


def without_metadata(file: BinaryIO) -> bytes | None:
    """
    A PNG of the chunks that the pixels need, and of its EXIF where that is whole.

    Args:
        file: from its beginning, wherever it stands.

    Returns: the file's bytes; None where it is no PNG, or has no other chunks.
    """
    file.seek(0)
    if file.read(len(SIGNATURE)) != SIGNATURE:
        return None
    data, kept, at = file.read(), [SIGNATURE], 0
    while at < len(data):
        end = at + FRAME + int.from_bytes(data[at : at + 4], "big")
        kind, checksum = data[at + 4 : at + 8], int.from_bytes(data[end - 4 : end], "big")
        if kind in OF_PIXELS or (kind == OF_PLACE and zlib.crc32(data[at + 4 : end - 4]) == checksum):
            kept.append(data[at:end])
        at = end
    found = b"".join(kept)
    return found if len(found) < len(SIGNATURE) + len(data) else None
