"""Annotated photos with referring expressions: written ones, and ones made from the masks.

Read `collection` (which photos there are, and what is known of them), `scene` (a photo as the semantics of expressions
sees it), `dialect` (which expressions are tried, in the words of `lexicon`), `building` (the data set).
What was built is read by `hf_refseg.data.load` like any other data set.
"""
