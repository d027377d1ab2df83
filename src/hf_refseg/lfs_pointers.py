"""Files that were not fetched: Git LFS leaves a few lines of text in their place."""

MARK = b"version https://git-lfs"


def pointer_hint(head: bytes) -> str:
    """What to add to an error about a file that begins so: how to fetch what it points to, or nothing."""
    return (
        ": it is a pointer of Git LFS, not the file itself (git lfs pull fetches it)" if head.startswith(MARK) else ""
    )
