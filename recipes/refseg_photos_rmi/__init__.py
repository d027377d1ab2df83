"""The recipe of `refseg-photos-rmi`; its README.md says what lies where."""
