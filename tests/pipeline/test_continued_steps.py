"""A step whose commit claims the next one: what the engine does when its worker continues, and when it
loses the lease between the steps."""

from __future__ import annotations

from certmill.contract import STEP_NAMES
from certmill.model.manifests.parse import certificate_document, dump_yaml
from certmill.runs.outcomes import Drop, Proceed
from certmill.state.records import Records
from tests.support.builders import a_certificate
from tests.support.mill import Mill


class CountedRecords(Records):
    """Records that count claims and commits."""

    claims = commits = 0

    def claim(self, *args, **options):
        self.claims += 1
        return super().claim(*args, **options)

    def commit(self, *args, **options):
        self.commits += 1
        return super().commit(*args, **options)


def begun(redis):
    """An environment whose run has begun, with records that count."""
    mill = Mill(redis)
    mill.use(records=CountedRecords(redis))
    assert mill.reconciler.reconcile(mill.certificate.id).publish_run
    return mill


def continued(mill, step, claimed=None):
    """Execute one step by a worker that continues: the next one is claimed for a task with its name."""
    options = {"task_id": step, "root_id": "root", "claimed": claimed}
    return mill.engine.run(step, mill.certificate.id, next_task=lambda: f"after-{step}", **options)


def test_a_run_that_continues_through_all_steps_claims_once_and_commits_its_end(redis):
    mill = begun(redis)
    claimed = None

    for step in STEP_NAMES:
        result = continued(mill, step, claimed)
        assert isinstance(result, Proceed), (step, result)
        claimed = result.claimed

    assert claimed is None
    assert (mill.ports.records.claims, mill.ports.records.commits) == (1, 1)
    assert (mill.record().step, mill.record().result) == ("", "issued")
    assert mill.world.leaf(mill.certificate) is not None


def test_the_claimed_step_is_leased_for_the_task_that_continues(redis):
    mill = begun(redis)

    claimed = continued(mill, STEP_NAMES[0]).claimed

    assert (claimed.step, claimed.task_id, claimed.root_id) == (
        STEP_NAMES[1],
        f"after-{STEP_NAMES[0]}",
        "root",
    )
    assert claimed == mill.record()
    assert mill.step(STEP_NAMES[1]) == Drop()


def test_a_claimed_step_whose_lease_has_ended_is_done_by_the_next_claim(redis):
    mill = begun(redis)
    slow = continued(mill, STEP_NAMES[0]).claimed

    mill.wake()

    assert mill.record().result == "issued"
    assert continued(mill, STEP_NAMES[1], slow) == Drop()
    assert mill.status().revision == 1


def test_a_change_of_the_manifest_meanwhile_ends_the_run_at_the_claimed_step(redis):
    mill = begun(redis)
    claimed = continued(mill, STEP_NAMES[0]).claimed
    changed = a_certificate(dns_names=("other.example.test",))
    mill.ports.home.apply(changed, dump_yaml(certificate_document(changed)))

    assert continued(mill, STEP_NAMES[1], claimed) == Drop(publish_run=True)
    assert mill.record().step == STEP_NAMES[-1]
