"""Annotated photos with referring expressions: written ones, and ones made from the masks.

Read `collection` (which photos there are, and what is known of them), then `building` (the data set). `load` reads what
was built like any other data set.
"""
