"""The configuration of the client for the Kubernetes API."""

from __future__ import annotations

import pytest

from certmill.errors import HomeUnavailable
from certmill.kube.connection import connect


def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path):
    with pytest.raises(HomeUnavailable) as absent:
        connect(kubeconfig=tmp_path / "absent")

    assert str(absent.value).startswith(
        f"the kubeconfig {tmp_path}/absent of CERTMILL_KUBECONFIG cannot be used: "
    )
