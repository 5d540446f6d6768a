"""The tests of streams run twice: where the server detaches them, and where uvicorn holds them to their end."""

from __future__ import annotations

import pytest

ASKED_TWICE = {f"test_protocol_{name}" for name in ("drain", "limits", "presence", "receipts", "stream")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of these modules runs over both paths."""
    if metafunc.module.__name__ in ASKED_TWICE:
        metafunc.fixturenames.append("stream_path")
        metafunc.parametrize("stream_path", [True, False], ids=["detached", "attached"], indirect=True, scope="session")
