"""The operator's image: built from the Dockerfile, measured, and listed part by part.

archive = build(to_stderr)
"""

from __future__ import annotations

from dev.image.builder import NAME, Image, ImageError, build

__all__ = ["NAME", "Image", "ImageError", "build"]
