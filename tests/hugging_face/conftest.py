"""The marks on Hugging Face's tests, which --strict-markers would refuse."""

MARKS = (
    "accelerate_tests",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "flash_attn_test",
    "order",
    "slow",
    "torch_compile_test",
)


def pytest_configure(config):
    for name in MARKS:
        config.addinivalue_line("markers", f"{name}: of Hugging Face's tests")
