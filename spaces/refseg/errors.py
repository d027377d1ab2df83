"""What went wrong, told to the visitor."""

import functools
from html import escape

import gradio as gr


def told(error: Exception) -> gr.Error:
    """An error as a message to the visitor, who may have written parts of it: text, never HTML."""
    return gr.Error(escape(str(error), quote=False), title="That did not work", print_exception=False)


def friendly(function):
    """Bad input is told on the page."""

    @functools.wraps(function)
    def wrapper(*arguments, **options):
        try:
            return function(*arguments, **options)
        except (ValueError, TypeError, OSError) as error:
            raise told(error) from error

    return wrapper
