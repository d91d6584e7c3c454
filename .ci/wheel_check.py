"""Builds the wheel and tries it in fresh virtual environments, as a stranger would: installed with
nothing else, and with every extra of users, by each Python that is found. Three lines audit a
folder. `make wheel-check PIP_EXTRA=...` for another index of torch.

    python -m venv env
    env/bin/pip install denoscope-0.1.0-py3-none-any.whl
    env/bin/denoscope audit --gen samples --train train --test held
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
VERSIONS = ("3.11", "3.12", "3.13")
USERS = "data,diffusers,sscd,parquet,onnx,watermark"
EXTRAS = {"minimal": "", "full": f"[{USERS}]"}
MODULES = ("skimage", "fontTools", "diffusers", "onnxruntime", "pyarrow", "reedsolo")
"""What the extras bring."""
AUDIT = ("audit", "--gen", "samples", "--train", "train", "--test", "held")
SETS = """
from pathlib import Path
from denoscope import read_images, write_images
digits = read_images("digits").data
parts = {"samples": digits[:100], "train": digits[:400], "held": digits[900:1300]}
for name, part in parts.items():
    write_images(part, Path(name))
"""


def pythons() -> Iterator[tuple[str, str | None]]:
    """Each version, and where its interpreter is: on the path, or one that pyenv keeps."""
    for version in VERSIONS:
        kept = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        found = [shutil.which(f"python{version}"), *map(str, kept)]
        yield version, next((one for one in found if one and _runs(one, version)), None)


def _runs(python: str, version: str) -> bool:
    done = subprocess.run([python, "--version"], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.startswith(f"Python {version}.")


def run(words: Sequence[str | Path], folder: Path) -> str:
    """What a command prints; one that fails ends everything with what it said."""
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, capture_output=True, text=True, env=_clean()
    )
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def _clean() -> dict[str, str]:
    """The environment without a way to the sources."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def tried(python: str, wheel: Path, extras: str, pip: Sequence[str], folder: Path) -> str:
    """One fresh environment: installed, imported, three folders audited; what was measured."""
    bin = folder / "env" / "bin"
    began = time.perf_counter()
    run([python, "-m", "venv", folder / "env"], folder)
    run([bin / "pip", "install", "-q", *pip, f"{wheel}{extras}"], folder)
    installed = time.perf_counter() - began
    run([bin / "pip", "check"], folder)
    run([bin / "python", "-c", SETS], folder)
    said = run(
        [bin / "denoscope", *["audit", "--gen", "samples", "--train", "train", "--test", "held"]],
        folder,
    )
    if "100 of 100 samples" not in said:
        sys.exit(f"the audit did not see that all samples are copies:\n{said}")
    names = MODULES if extras else ()
    run([bin / "python", "-c", "".join(f"import {name}\n" for name in names)], folder)
    clock = "import time; t = time.perf_counter(); import denoscope; print(time.perf_counter() - t)"
    seconds = float(run([bin / "python", "-c", clock], folder))
    packages = len(run([bin / "pip", "list", "--format=freeze"], folder).splitlines())
    return f"{packages} packages in {installed:.0f} s, imported in {seconds:.3f} s, audited"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--python", nargs="+", default=VERSIONS, help="versions to try")
    parser.add_argument("--pip", default="", help="more words for pip, such as another index")
    options = parser.parse_args()
    pip = [
        "--disable-pip-version-check",
        "-c",
        f"{ROOT}/constraints.txt",
        *shlex.split(options.pip),
    ]
    with tempfile.TemporaryDirectory() as place:
        made = Path(place)
        run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", made, ROOT], made)
        (wheel,) = made.glob("*.whl")
        print(f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB", flush=True)
        for version, python in pythons():
            if python is None or version not in options.python:
                print(f"Python {version}: {'not found' if python is None else 'not asked for'}")
                continue
            for name, extras in EXTRAS.items():
                with tempfile.TemporaryDirectory() as folder:
                    print(f"Python {version}, {name}:", end=" ", flush=True)
                    print(
                        tried(python, wheel, extras, list(map(str, pip)), Path(folder)), flush=True
                    )


if __name__ == "__main__":
    main()
