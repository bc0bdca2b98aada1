"""The commits of releases that tests run beside this one or upgrade from. The clone must contain them."""

from __future__ import annotations

BEFORE_THE_CODEC = "8b06a0de5a31b6c051ceaacbba7cac029c37834e"
BEFORE_CONTINUATION = "a13bdadeb6d70e353a388e191c27abdd3d948831"
