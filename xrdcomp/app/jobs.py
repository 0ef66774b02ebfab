"""The queue: analyses and other work on worker processes, cancelled when asked, taken up again after a kill.

Each job is a file in ``.app``, written at every change of its state, so that a server that was killed knows what was
asked of it: what waited waits again, what was being done is done again, and is marked interrupted where that ended
the server `MOST_ATTEMPTS` times.
"""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec

from xrdcomp.app.work import Task, perform
from xrdcomp.batch.workers import Stopped, Worker
from xrdcomp.disk import write_whole
from xrdcomp.errors import OutputError, RecipeError, printable

MOST_ATTEMPTS = 3
MOST_WAITING = 500
KEPT = 200
"""Finished jobs that are remembered; results do not depend on it."""
State = Literal["waiting", "running", "done", "error", "cancelled", "interrupted"]
ACTIVE = ("waiting", "running")


class Job(msgspec.Struct, kw_only=True):
    """A piece of work and what became of it; times in seconds since 1970."""

    id: int
    kind: str
    title: str
    arguments: dict[str, Any] = {}
    state: State = "waiting"
    status: str = ""
    said: str = ""
    attempts: int = 0
    asked_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0

    @property
    def active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ACTIVE

    @property
    def seconds(self) -> float:
        """Time it has run for."""
        return (self.ended_at or time.time()) - self.started_at if self.started_at else 0.0


class Queue:
    """Jobs in the order of their requests, as many at a time as there are workers."""

    def __init__(self, root: Path, *, workers: int = 1, function: Callable[[Task], dict[str, str]] = perform) -> None:
        self._root, self._folder, self._function = root, root / ".app", function
        self._change = threading.Condition()
        self._closing = False
        self.problem = ""
        self._cancelled: set[int] = set()
        self._jobs: dict[int, Job] = {}
        for file in sorted(self._folder.glob("job-*.json")):
            try:
                job = msgspec.convert(json.loads(file.read_bytes())["job"], Job)
            except (OSError, ValueError, KeyError, TypeError, msgspec.ValidationError):
                continue  # it states nothing; what it asked for is in the project
            self._jobs[job.id] = job
        self._next = itertools.count(max(self._jobs, default=0) + 1)
        for job in self._jobs.values():
            if job.state == "running":
                job.state, job.started_at = "waiting", 0.0
                if job.attempts >= MOST_ATTEMPTS:
                    job.state, job.ended_at = "interrupted", time.time()
                    job.said = f"The app ended {job.attempts} times while it was at this. Ask for it again."
                self._keep(job)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(max(workers, 1))]
        for thread in self._threads:
            thread.start()

    def submit(self, kind: str, title: str, **arguments: Any) -> Job:
        """Put a job at the end of the queue; it is on the disk when this returns."""
        with self._change:
            if sum(job.active for job in self._jobs.values()) >= MOST_WAITING:
                raise RecipeError(f"{MOST_WAITING} jobs are waiting. Cancel some, or wait.")
            told = {name: value for name, value in arguments.items() if value is not None}
            job = Job(id=next(self._next), kind=kind, title=title, arguments=told, asked_at=time.time())
            self._keep(job)
            self._jobs[job.id] = job
            self._forget()
            self._change.notify_all()
            return job

    def cancel(self, number: int) -> Job:
        """Take a job out of the queue, or end the process that does it; RecipeError where there is none."""
        with self._change:
            job = self._jobs.get(number)
            if job is None:
                raise RecipeError(f"there is no job {number}.")
            if job.state == "waiting":
                self._end(job, "cancelled")
            elif job.state == "running":
                self._cancelled.add(number)
            return job

    def jobs(self) -> list[Job]:
        """All that are remembered, the latest first."""
        with self._change:
            return sorted(self._jobs.values(), key=lambda job: -job.id)

    def stage(self, job: Job) -> str:
        """How far a running job says it is."""
        try:
            return printable((self._folder / f"stage-{job.id}").read_text(encoding="utf-8"))[:100]
        except OSError:
            return "starting"

    def usual_seconds(self, kind: str) -> float | None:
        """Median time of the last jobs of a kind."""
        times = sorted(job.seconds for job in self.jobs()[:40] if job.kind == kind and job.state == "done")
        return times[len(times) // 2] if times else None

    def close(self) -> None:
        """End the workers; running jobs are taken up again at the next start."""
        with self._change:
            self._closing = True
            self._change.notify_all()
        for thread in self._threads:
            thread.join(timeout=5.0)

    def _work(self) -> None:
        worker = Worker()
        try:
            while (job := self._take()) is not None:
                self._do(job, worker)
        finally:
            worker.close()

    def _take(self) -> Job | None:
        with self._change:
            while not self._closing:
                waiting = [job for job in self._jobs.values() if job.state == "waiting"]
                if waiting:
                    job = min(waiting, key=lambda item: item.id)
                    job.state, job.started_at, job.attempts = "running", time.time(), job.attempts + 1
                    self._keep(job)
                    return job
                self._change.wait()
            return None

    def _do(self, job: Job, worker: Worker) -> None:
        stage = self._folder / f"stage-{job.id}"
        task = Task(kind=job.kind, root=str(self._root), stage=str(stage), arguments=job.arguments)
        done = worker.call(self._function, task, stopped=lambda: self._closing or job.id in self._cancelled)
        with self._change:
            if self._closing and isinstance(done.error, Stopped):
                return  # stays "running" on the disk
            self._cancelled.discard(job.id)
            if isinstance(done.error, Stopped):
                self._end(job, "cancelled")
            elif done.result is None:
                what = f"{type(done.error).__name__}: {done.error}"
                self._end(job, "error", said=f"{what}. This is a defect of the program; please report it.")
            else:
                status, said = done.result["status"], done.result["said"]
                self._end(job, "error" if status == "error" else "done", status=status, said=said)
        stage.unlink(missing_ok=True)

    def _end(self, job: Job, state: State, *, status: str = "", said: str = "") -> None:
        job.state, job.status, job.said, job.ended_at = state, status, said, time.time()
        self._keep(job)

    def _keep(self, job: Job) -> None:
        text = json.dumps({"written_by": "xrdcomp", "job": msgspec.to_builtins(job)}, ensure_ascii=False)
        try:
            write_whole(self._folder / f"job-{job.id:06d}.json", text)
            self.problem = ""
        except OutputError as error:
            self.problem = str(error)  # the work goes on; the page says that a kill would now forget it

    def _forget(self) -> None:
        over = [job for job in self._jobs.values() if not job.active][:-KEPT]
        for job in over:
            (self._folder / f"job-{job.id:06d}.json").unlink(missing_ok=True)
            del self._jobs[job.id]
