"""What all rooms' tests share: every pass is verified, every run is a compiled one; golden files, rewritten by `pytest --update-golden`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# before flowc reads its settings; processes that tests start inherit it
os.environ.setdefault("FLOWC_VERIFY", "1")
os.environ.setdefault("FLOWC_DETERMINISTIC", "1")  # tests see the compiled program from the first run on; those of the runs before it say so

# the same examples in every run: a check must not fail by chance; HYPOTHESIS_PROFILE=search looks for new ones
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files, and outputs shown in the docs, with what is found now")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def golden(update_golden: bool) -> Callable[[Path, str], None]:
    """`golden(path, text)`: the file holds exactly this text."""

    def check(path: Path, text: str) -> None:
        if update_golden:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is not there; pytest --update-golden writes it"
        assert text == path.read_text()

    return check
