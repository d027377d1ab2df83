"""Settings of transformers' common tests."""

collect_ignore = ["common_tests"]  # test classes of others: our modules subclass them
THEIR_MARKERS = (
    "accelerate_tests",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "flash_attn_test",
    "torch_compile_test",
)


def pytest_configure(config):
    for marker in THEIR_MARKERS:
        config.addinivalue_line("markers", f"{marker}: of transformers' common tests")
