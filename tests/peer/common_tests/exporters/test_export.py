"""Stub: our own export test is in tests/models/model_tester.py."""


class ExportTesterMixin:
    pass
