"""The queue of the bench app: order, cancelling, a process that dies, and what a killed server knows afterwards."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xrdcomp.app.jobs import MOST_ATTEMPTS, Queue
from xrdcomp.app.work import Task
from xrdcomp.errors import RecipeError


def work(task: Task) -> dict[str, str]:
    """Wait, fail or die as asked; leave a mark."""
    told = task.arguments
    Path(task.stage).write_text("working")
    if told.get("die"):
        os._exit(9)
    if told.get("defect"):
        raise ValueError("seven")
    end = time.monotonic() + float(told.get("seconds", 0))
    while time.monotonic() < end:
        time.sleep(0.02)
    with (Path(task.root) / "marks").open("a") as stream:
        stream.write(f"{told['mark']}\n")
    return {"status": "ok", "said": f"mark {told['mark']}"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / ".app").mkdir()
    return tmp_path


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.05)


def settled(queue: Queue) -> bool:
    return not any(job.active for job in queue.jobs())


def test_jobs_are_done_in_order_and_one_can_be_cancelled_in_its_midst(root: Path) -> None:
    queue = Queue(root, function=work)
    try:
        long = queue.submit("analysis", "long", mark="long", seconds=60)
        waiting = queue.submit("analysis", "waiting", mark="waiting")
        last = [queue.submit("analysis", name, mark=name) for name in "ab"]
        until(lambda: queue.stage(long) == "working")
        queue.cancel(waiting.id)
        assert waiting.state == "cancelled"
        queue.cancel(long.id)
        until(lambda: settled(queue))
        assert (long.state, [job.state for job in last]) == ("cancelled", ["done", "done"])
        assert (root / "marks").read_text() == "a\nb\n"
        assert last[1].said == "mark b"
        assert last[1].seconds < 60
        with pytest.raises(RecipeError, match="no job"):
            queue.cancel(99)
    finally:
        queue.close()


def test_a_process_that_dies_and_a_defect_end_their_own_job_only(root: Path) -> None:
    queue = Queue(root, function=work)
    try:
        dead, broken, well = (
            queue.submit("analysis", "x", mark="x", **more) for more in ({"die": True}, {"defect": True}, {})
        )
        until(lambda: settled(queue))
        assert (dead.state, broken.state, well.state) == ("error", "error", "done")
        assert "process ended" in dead.said
        assert "ValueError: seven" in broken.said
    finally:
        queue.close()


def test_several_workers_work_at_the_same_time(root: Path) -> None:
    queue = Queue(root, workers=2, function=work)
    try:
        jobs = [queue.submit("analysis", str(n), mark=n, seconds=1) for n in range(2)]
        until(lambda: all(job.state == "running" for job in jobs))
        until(lambda: settled(queue))
        assert sorted((root / "marks").read_text().split()) == ["0", "1"]
    finally:
        queue.close()


def test_what_was_asked_is_taken_up_again_and_given_up_where_it_ends_the_server(root: Path) -> None:
    queue = Queue(root, function=work)
    running = queue.submit("analysis", "running", mark="running", seconds=120)
    waiting = queue.submit("analysis", "waiting", mark="waiting")
    until(lambda: queue.stage(running) == "working")
    queue.close()
    stored = root / ".app" / f"job-{running.id:06d}.json"
    data = json.loads(stored.read_bytes())
    assert (data["job"]["state"], data["job"]["attempts"]) == ("running", 1)
    data["job"]["arguments"]["seconds"] = 0
    stored.write_text(json.dumps(data))
    (root / ".app" / "job-000007.json").write_text(
        json.dumps({"job": {**data["job"], "id": 7, "attempts": MOST_ATTEMPTS}})
    )
    (root / ".app" / "job-000008.json").write_text("{")
    again = Queue(root, function=work)
    try:
        until(lambda: settled(again))
        states = {job.id: (job.state, job.attempts) for job in again.jobs()}
        assert states == {running.id: ("done", 2), waiting.id: ("done", 1), 7: ("interrupted", MOST_ATTEMPTS)}
        assert (root / "marks").read_text() == "running\nwaiting\n"
        assert again.submit("analysis", "next", mark="next").id == 8
    finally:
        again.close()
