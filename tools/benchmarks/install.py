"""Makes the peers' environment: a folder name becomes a virtual environment with TensorFlow, JAX, PyTensor, PyTorch and ONNX Runtime.

    install_peers(Path("/tmp/peers"))   ->   {"tensorflow": "2.21.0", "jax": "0.10.2", "pytensor": None, ...}

Where packages come from is pip's own configuration. Each peer is installed by itself, so one that fails leaves the others whole.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

Say = Callable[[str], None]

# One exact PyTorch, so that a wheel for the CPU kept beside pip's configuration is taken before the much larger default one.
REQUIREMENTS = {
    "tensorflow": "tensorflow",
    "jax": "jax",
    "pytensor": "pytensor",
    "torch": "torch==2.13.0",
    "onnx": "onnx",  # makes the model that ONNX Runtime runs
    "onnxruntime": "onnxruntime",
}

VERSION_OF = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"


def environment_python(folder: Path) -> Path:
    """The interpreter of the virtual environment in `folder`, whether or not it is there."""
    return folder / "bin" / "python"


def installed_version(python: Path, package: str) -> str | None:
    """The version of `package` that `python` would import, read without importing it; None when it is not installed."""
    found = subprocess.run([str(python), "-c", VERSION_OF, package], check=False, capture_output=True, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


def last_lines(text: str, count: int = 3) -> str:
    """The end of a program's output, where the reason of a failure stands, as one line."""
    return " | ".join(line.strip() for line in text.strip().splitlines()[-count:] if line.strip())


def install_peers(folder: Path, say: Say = print, requirements: dict[str, str] | None = None) -> dict[str, str | None]:
    """Installs every peer into a virtual environment in `folder`, made when it is not there.

    Returns the installed version per peer, None for one that failed; `say` gets one line for each, with pip's reason.
    Raises OSError when the environment itself cannot be made.
    """
    python = environment_python(folder)
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(folder)], check=False, capture_output=True, text=True)
        if made.returncode != 0:
            raise OSError(f"no virtual environment in {folder}: {last_lines(made.stdout + made.stderr)}")
    versions: dict[str, str | None] = {}
    for peer, requirement in (REQUIREMENTS if requirements is None else requirements).items():
        say(f"{peer}: installing {requirement} ...")
        kept = folder / "installed-before.txt"
        # What earlier peers brought stays as it is: a second peer must not swap the NumPy under the first.
        frozen = subprocess.run([str(python), "-m", "pip", "freeze"], check=False, capture_output=True, text=True)
        kept.write_text(frozen.stdout)
        command = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(kept), requirement]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        versions[peer] = installed_version(python, peer) if done.returncode == 0 else None
        if versions[peer] is None:
            say(f"{peer}: FAILED, the others go on: {last_lines(done.stdout + done.stderr)}")
        else:
            say(f"{peer}: {versions[peer]}")
    return versions
