"""Whether the license of a data set allows publishing it."""

from ..cards import family_page


class NoPermissionError(ValueError):
    """There is no license that allows publishing this data."""


def check_permission(family: str, with_images: bool, have_permission: bool) -> None:
    """Raises NoPermissionError if a license is missing and the user has not said that they have permission."""
    page = family_page(family)
    missing = []
    if page.push_needs_permission:
        missing.append(f"the annotations of {page.metadata['pretty_name']} have no license that allows publishing them")
    if with_images:
        missing.append("the photos belong to their photographers, under various terms")
    if missing and not have_permission:
        raise NoPermissionError(
            f"Not pushed: {' and '.join(missing)}. The built folder is for your own disk. If you have asked and got "
            "permission to publish it, say so with --i-have-permission."
        )
