"""Dataset cards: a hand-written page per family in this folder, and the tables and YAML a build adds to it."""

from .card import FamilyPage, family_page, write_card

__all__ = ["FamilyPage", "family_page", "write_card"]
