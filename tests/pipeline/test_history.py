"""What the pipeline keeps of the runs that have ended."""

from __future__ import annotations

from certmill.errors import NameRefused
from tests.builders import DAY
from tests.pipeline.mill import Mill
from tests.pipeline.test_reconcile_and_ticks import with_faults


def test_renewals_and_failures_are_kept_in_the_status_and_survive_each_other(redis):
    mill = Mill(redis)
    first = mill.issue()
    mill.world.clock.advance(62 * DAY)
    with_faults(mill, new_order=[NameRefused("the CA refuses web.example.test")])
    mill.ticks.renew()
    mill.run()
    failed_at = mill.world.clock.now()
    mill.world.clock.advance(2 * DAY)
    mill.ticks.renew()
    mill.run()

    one, two, three = mill.status().history
    assert (one.issued, one.message.split(",")[0]) == (True, f"serial {first.serial}")
    assert (two.issued, two.message, two.at) == (False, "the CA refuses web.example.test", failed_at)
    assert (three.issued, mill.status().failed_issuance_attempts) == (True, 0)


def test_a_status_that_is_written_twice_tells_of_one_run(redis):
    mill = Mill(redis)
    mill.issue()
    for _ in range(3):
        mill.reconciler.reconcile(mill.certificate.id)

    assert len(mill.status().history) == 1
