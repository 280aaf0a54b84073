"""The archives that are published: what is in them, and what an index would show of them."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

import pytest

import babelmq

HERE = Path(__file__).parent.parent
PROJECT = HERE.parent.parent
LICENCES = ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT"]


@dataclass(frozen=True)
class Archive:
    """A wheel or a source distribution."""

    name: str
    files: dict[str, bytes]
    metadata: Message


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Archive]:
    """Both archives, the wheel made from the source distribution as an installer would make it."""
    out = tmp_path_factory.mktemp("dist")
    # Isolation would ask an index for the backend, which the tests' own group has installed.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(HERE)]
    done = subprocess.run(
        command, cwd=out, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = out.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        in_wheel = {name: opened.read(name) for name in opened.namelist()}
    (sdist,) = out.glob("*.tar.gz")
    in_sdist = {}
    with tarfile.open(sdist) as unpacked:
        for member in unpacked:
            content = unpacked.extractfile(member)
            if content is not None:
                in_sdist[member.name.partition("/")[2]] = content.read()
    parse = BytesParser().parsebytes
    (about,) = (name for name in in_wheel if name.endswith(".dist-info/METADATA"))
    return {
        "wheel": Archive(wheel.name, in_wheel, parse(in_wheel[about])),
        "sdist": Archive(sdist.name, in_sdist, parse(in_sdist["PKG-INFO"])),
    }


@pytest.fixture(params=["wheel", "sdist"])
def archive(request: pytest.FixtureRequest, built: dict[str, Archive]) -> Archive:
    return built[request.param]


def test_the_wheel_holds_the_typed_package_and_nothing_else(built: dict[str, Archive]) -> None:
    package = {path.name for path in (HERE / "src" / "babelmq").iterdir() if path.is_file()}
    assert {"py.typed", "__init__.py"} <= package
    about = [*(f"licenses/{name}" for name in LICENCES), "METADATA", "RECORD", "WHEEL"]
    folder = f"babelmq-{babelmq.__version__}.dist-info"
    assert sorted(built["wheel"].files) == sorted(
        [f"babelmq/{name}" for name in package] + [f"{folder}/{name}" for name in about]
    )


def test_the_sdist_can_be_tested_and_holds_nothing_else(built: dict[str, Archive]) -> None:
    tests = [path.relative_to(HERE).as_posix() for path in (HERE / "tests").rglob("*.py")]
    examples = ["examples/consumer.py", "examples/producer.py"]
    needed = {*tests, *examples, "conftest.py", "pyproject.toml", "README.md"}
    assert needed <= set(built["sdist"].files)
    assert not [name for name in built["sdist"].files if "__pycache__" in name]
    at_the_top = {name.partition("/")[0] for name in built["sdist"].files}
    own = {"src", "tests", "examples", "conftest.py", "pyproject.toml", "README.md", *LICENCES}
    # The backend adds these two.
    assert at_the_top - {"PKG-INFO", ".gitignore"} == own


def test_the_licences_are_inside(archive: Archive) -> None:
    assert archive.metadata["License-Expression"] == "MIT OR Apache-2.0"
    assert archive.metadata.get_all("License-File") == LICENCES
    for name in LICENCES:
        (found,) = (path for path in archive.files if path.rpartition("/")[2] == name)
        assert archive.files[found] == (HERE / name).read_bytes()


@pytest.mark.skipif(not (PROJECT / "docs").exists(), reason="there is no project around it")
@pytest.mark.parametrize("name", LICENCES)
def test_the_licences_are_those_of_the_project(name: str) -> None:
    assert (HERE / name).read_bytes() == (PROJECT / name).read_bytes()


def test_the_version_is_that_of_the_package(archive: Archive) -> None:
    assert archive.metadata["Version"] == babelmq.__version__
    assert archive.name.startswith(f"babelmq-{babelmq.__version__}")


@pytest.mark.skipif(not (PROJECT / "docs").exists(), reason="there is no project around it")
def test_the_version_is_that_of_the_broker_and_of_the_codec() -> None:
    manifest = (PROJECT / "Cargo.toml").read_text()
    # The one that both crates take, and the one of the codec that the broker asks an index for.
    written = re.findall(r'^(?:babelmq-codec = .*)?\bversion = "(.+?)"', manifest, re.M)
    assert written == [babelmq.__version__] * 2
    for crate in (manifest, (PROJECT / "crates" / "codec" / "Cargo.toml").read_text()):
        assert "\nversion.workspace = true\n" in crate


def test_a_source_tree_that_was_never_installed_knows_its_version() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); import babelmq; print(babelmq.__version__)"
    # -I and -S leave out every folder in which metadata could lie.
    command = [sys.executable, "-I", "-S", "-c", code, str(HERE / "src")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.strip() == babelmq.__version__


def test_nothing_else_is_installed_and_no_extra_is_offered(archive: Archive) -> None:
    assert archive.metadata["Name"] == "babelmq"
    assert archive.metadata.get_all("Requires-Dist") is None
    assert archive.metadata.get_all("Provides-Extra") is None


def test_the_classifiers_name_every_python_that_is_supported(archive: Archive) -> None:
    classifiers = archive.metadata.get_all("Classifier", [])
    python = "Programming Language :: Python :: "
    named = [name[len(python) :] for name in classifiers if re.fullmatch(python + r"3\.\d+", name)]
    assert named == ["3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
    assert archive.metadata["Requires-Python"] == f">={named[0]}"
    assert python + "Implementation :: CPython" in classifiers
    assert "Operating System :: OS Independent" in classifiers
    assert "Typing :: Typed" in classifiers
    assert [name for name in classifiers if name.startswith("Topic :: ")]
    # The SPDX expression says it, and an index refuses a package that says it in both ways.
    assert not [name for name in classifiers if name.startswith("License ::")]


def relative_links(markdown: str) -> list[str]:
    """What is linked to, or shown, from beside the document; an index page has nothing there."""
    text = re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.S)
    inline = r"\]\(\s*<?([^)>\s]+)"
    defined = r"^ *\[[^\]]+\]: *<?([^>\s]+)"
    html = r"\b(?:href|src)\s*=\s*[\"']?([^\"'>\s]+)"
    found = [link for kind in (inline, defined, html) for link in re.findall(kind, text, re.M)]
    return [link for link in found if not re.match(r"#|https?://|mailto:", link)]


@pytest.mark.parametrize(
    "written",
    [
        "[a](../b)",
        "![a](../b)",
        "[a](<../b>)",
        "[`a`](../b)",
        "[a]\n\n[a]: ../b",
        '<img src="../b">',
    ],
)
def test_a_relative_link_would_be_found(written: str) -> None:
    page = f"`x[0](y)` and [the web](https://example.invalid/b), [below](#below)\n{written}\n"
    assert relative_links(page) == ["../b"]


def test_the_readme_leads_nowhere_that_an_index_page_has_not(archive: Archive) -> None:
    readme = archive.metadata.get_payload()
    assert archive.metadata["Description-Content-Type"] == "text/markdown"
    assert isinstance(readme, str)
    assert readme.strip().startswith("# babelmq for Python")
    assert relative_links(readme) == []
