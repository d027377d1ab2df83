"""The recipe of `refseg-photos`; its README.md says what lies where."""
