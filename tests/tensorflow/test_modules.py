"""`import tensorflow` answered by flowc, in all of its spellings; what is not there is said clearly."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

import flowc
import flowc.tensorflow
from flowc.errors import NameLookupError
from flowc.frontend import names
from flowc.frontend.namespaces import Namespace


@pytest.fixture(autouse=True)
def _installed() -> Iterator[None]:
    flowc.tensorflow.install()
    yield
    flowc.tensorflow.uninstall()


def spaces(space: Namespace, found: dict[str, Namespace]) -> dict[str, Namespace]:
    """Every namespace by its name."""
    if space.__name__ not in found:
        found[space.__name__] = space
        for name in dir(space):
            inner = space.find(name)
            if isinstance(inner, Namespace):
                spaces(inner, found)
    return found


@pytest.mark.parametrize("space", spaces(names.FLOWC, spaces(names.TENSORFLOW, {})).values(), ids=lambda space: space.__name__)
def test_every_public_name_is_there(space: Namespace) -> None:
    for name in dir(space):
        getattr(space, name)


def test_the_spellings_of_the_import_give_one_library() -> None:
    tf = importlib.import_module("tensorflow")
    tf1 = importlib.import_module("tensorflow.compat.v1")
    tf1.disable_v2_behavior()
    tf1.disable_eager_execution()
    assert tf.Variable is tf1.Variable is flowc.Variable
    assert tf.compat.v1 is tf1
    assert importlib.import_module("tensorflow.contrib.learn").LinearRegressor is flowc.contrib.learn.LinearRegressor
    assert importlib.import_module("tensorflow.train").AdamOptimizer is flowc.train.AdamOptimizer
    assert tf.__version__.startswith("1.")


def test_from_imports() -> None:
    scope: dict[str, object] = {}
    exec("from tensorflow.examples.tutorials.mnist import input_data\nfrom tensorflow.contrib import learn\nfrom tensorflow import nn", scope)
    assert scope["input_data"].read_data_sets is importlib.import_module("flowc.data.mnist").read_data_sets  # type: ignore[attr-defined]
    assert scope["nn"] is flowc.nn


def test_an_unknown_name_says_what_is_near_and_where() -> None:
    tf = importlib.import_module("tensorflow")
    with pytest.raises(NameLookupError) as caught:
        tf.float
    assert str(caught.value).splitlines()[0] == "tf.float is not supported by flowc; did you mean float32?"
    assert caught.value.location.file == __file__
    assert "tf.float" in str(caught.value).splitlines()[1]
    with pytest.raises(NameLookupError, match=r"tf.nn.sotfmax is not supported by flowc; did you mean softmax"):
        tf.nn.sotfmax
    with pytest.raises(NameLookupError, match=r"tf.mul is not supported by flowc; did you mean multiply\?"):
        tf.mul
    with pytest.raises(NameLookupError, match=r"flowc.float is not supported by flowc; did you mean float32\?"):
        flowc.float


def test_a_name_that_flowc_leaves_out_says_what_to_do() -> None:
    tf = importlib.import_module("tensorflow")
    with pytest.raises(NameLookupError, match=r"tf\.keras is not supported: flowc speaks TensorFlow 1's graph interface"):
        tf.keras
    assert not hasattr(tf, "keras")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import tensorflow.keras.layers", "flowc has no module tensorflow.keras: flowc speaks TensorFlow 1's graph interface"),
        ("from tensorflow.contrib import slim", "flowc has no module tensorflow.contrib.slim; in tf.contrib there are framework, layers, learn"),
        ("import tensorflow.contrib.layer", "flowc has no module tensorflow.contrib.layer; in tf.contrib there are layers"),
    ],
)
def test_an_unknown_module_says_what_is_there(statement: str, message: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        exec(statement, {})
    assert message in str(caught.value)
    assert "importlib" not in str(caught.value)


def test_other_packages_are_left_alone() -> None:
    with pytest.raises(ModuleNotFoundError, match="No module named 'tensorflow_probability'"):
        importlib.import_module("tensorflow_probability")


def test_install_refuses_where_another_tensorflow_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    flowc.tensorflow.uninstall()
    monkeypatch.setitem(sys.modules, "tensorflow", type(sys)("tensorflow"))
    with pytest.raises(RuntimeError, match="another tensorflow is imported"):
        flowc.tensorflow.install()


def test_uninstall_takes_the_modules_away() -> None:
    importlib.import_module("tensorflow.nn")
    flowc.tensorflow.uninstall()
    assert not [name for name in sys.modules if name.partition(".")[0] == "tensorflow"]


def test_importing_flowc_imports_nothing_heavy() -> None:
    code = "import sys, flowc, flowc.tensorflow; print([m for m in ('numba', 'llvmlite', 'networkx', 'graphviz') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
