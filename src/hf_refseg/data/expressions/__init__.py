"""Referring expressions made from scenes whose objects are known, drawn ones (`refshapes`) and photos (`photos`).

Read `things` (logical forms, and what they are about), `places` (where things are), `semantics` (what expressions
mean), `wording` (how they are said), `statements` (what of them a row keeps). Which expressions are tried, and which
words there are, each kind of scene says itself.
"""
