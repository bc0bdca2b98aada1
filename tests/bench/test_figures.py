from __future__ import annotations

import json

from tests.bench.figures import FIGURES, Result, table, write

KEYS = [
    "raw_certs_per_s",
    "pipeline_certs_per_s",
    "pipeline_vs_raw",
    "single_p50_s",
    "single_p95_s",
    "cpu_ms_per_cert",
    "worker_idle_rss_mb",
    "redis_bytes_per_idle_cert",
    "tick_ms_at_1m",
    "good_among_dead_s",
    "k8s_first_s",
    "k8s_200_s",
    "k8s_http01_s",
    "k8s_adopt_10k_s",
    "controller_rss_mb",
    "flower_rss_mb",
    "soak_rss_growth_mb",
    "cli_get_s",
    "renewal_scan_ms_at_1m",
    "fleet_expired",
    "fleet_429",
    "fleet_peak_to_mean",
    "mass_revocation_hours",
    "redis_mb_per_100k",
    "year_wall_s",
]


def test_the_file_has_the_agreed_keys_and_no_other(tmp_path):
    write(Result(figures=dict.fromkeys(KEYS, 1.0)), tmp_path / ".bench" / "latest.json")

    assert list(json.loads((tmp_path / ".bench" / "latest.json").read_text())) == KEYS
    assert list(FIGURES) == KEYS


def test_a_figure_is_shown_beside_its_target_and_whether_it_is_reached():
    said = table(
        Result(
            figures={"pipeline_vs_raw": 0.4, "single_p50_s": 0.05, "raw_certs_per_s": 50.0},
            notes=["a remark"],
        )
    )

    lines = {line.split()[0]: line for line in said.splitlines() if line}
    assert "≥ 0.9" in lines["pipeline_vs_raw"]
    assert "NOT reached" in lines["pipeline_vs_raw"]
    assert "reached" in lines["single_p50_s"]
    assert "NOT" not in lines["single_p50_s"]
    assert "reached" not in lines["raw_certs_per_s"]
    assert "- a remark" in said
