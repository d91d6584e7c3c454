"""The networks that come along, by name: class-conditional U-Nets, which serve without labels too.

README.md beside this file says what they were trained on, how, and how good they are.
"""

from __future__ import annotations

from pathlib import Path

from denoscope.files import file_hash

SHA256 = {
    "digits-unet": "e1f0726e0247e506a11d361a5715113b26da7d2c046a3940c37aabb6034818fb",
    "fashion-mnist-unet": "8a682e0aba70a32353a3eb74eedfa5c0045d10e52cd998439a5af060453034a4",
}
"""Their names, and the hashes of their files."""
_FOLDER = Path(__file__).parent


def shipped(name: str) -> Path:
    """The file of a network that comes along; one that is damaged or missing is a ValueError."""
    file = _FOLDER / f"{name}.safetensors"
    if not file.is_file() or file_hash(file) != SHA256[name]:
        raise ValueError(f"{file} is not the file that was released: install denoscope anew")
    return file
