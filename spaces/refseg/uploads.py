"""Photos that visitors send: read as the package reads pictures, and deleted soon."""

import os
import threading
import time
from pathlib import Path

import gradio as gr
from errors import told
from PIL import Image
from segmenting import read_photo

KEEP_FILES = int(os.environ.get("HF_REFSEG_KEEP_SECONDS", 900))
LOOK_FOR_OLD_FILES = max(1, KEEP_FILES // 3)  # seconds between two looks


def read_upload(payload) -> Image.Image | None:
    """What was uploaded, read as the package reads pictures: every format, the right way up, with our messages."""
    if payload is None:
        return None
    if not was_sent(payload):
        raise told(ValueError("There is no photo in this. Send a file, or data: with the file in base64."))
    try:
        return read_photo(payload.path or payload.url)
    except FileNotFoundError as error:
        kept = f"photos are deleted after {KEEP_FILES // 60} minutes"
        raise told(ValueError(f"the photo is not here any more: {kept}. Give it again.")) from error
    except (ValueError, TypeError, OSError) as error:
        message = (
            str(error).replace(str(payload.path), "The file").replace("raise PIL.Image.MAX_IMAGE_PIXELS", "crop it")
        )
        raise told(ValueError(f"{message}. Give another photo, such as a JPEG, PNG or WebP file.")) from error


def was_sent(payload) -> bool:
    """Whether this is an upload, or holds its file. Gradio checks that only where a request says that it is a file."""
    if payload.path is None:
        return (payload.url or "").startswith("data:")
    return Path(payload.path).resolve().is_relative_to(upload_folder())


def upload_folder() -> Path:
    return Path(gr.utils.get_upload_folder()).resolve()


def photo_input(value: Image.Image | None = None, **options) -> gr.Image:
    """A field for a photo. Not a subclass of Gradio's: of each one Gradio writes a file beside its source."""
    sources = ["upload", "clipboard", "webcam"]
    field = gr.Image(value, sources=sources, format="png", buttons=["fullscreen"], **options)
    field.preprocess = read_upload
    return field


def delete_old(page: gr.Blocks, folder: Path, seconds: float) -> None:
    """
    Delete what was uploaded more than `seconds` ago.

    Gradio's own `delete_cache` knows nothing of photos that assistants send as text (Model Context Protocol). So all of
    the folder is looked through; pictures of the page itself stay.
    """
    own = set().union(*(block.keep_in_cache for block in page.blocks.values()))
    for file in folder.rglob("*"):
        try:
            if file.is_file() and str(file) not in own and time.time() - file.stat().st_ctime > seconds:
                file.unlink()
        except FileNotFoundError:  # an upload that has just got its name
            continue


def delete_from_now_on(page: gr.Blocks) -> None:
    """Look for old files now and then, in a thread that ends with the program."""

    def look() -> None:
        while True:
            delete_old(page, upload_folder(), KEEP_FILES)
            time.sleep(LOOK_FOR_OLD_FILES)

    threading.Thread(target=look, daemon=True).start()
