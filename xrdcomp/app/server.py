"""The pages of the bench app: routes over a project and its queue; what they show is plain HTML, forms and links."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import socket
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import uvicorn
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route, Router

from xrdcomp.app import views
from xrdcomp.app.forms import read_form
from xrdcomp.app.guard import Guard, PatientProtocol
from xrdcomp.app.jobs import Queue
from xrdcomp.app.project import Conflict, Project, most_upload
from xrdcomp.batch.specimen_file import Measured
from xrdcomp.errors import OutputError, RecipeError, XrdcompError
from xrdcomp.recipe import Recipe

CONNECTIONS = 64
REPORT_POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; font-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-scripts allow-downloads"
)
_SCRIPT = re.compile(r'<script(?: type="text/plain"[^>]*)?>(.*?)</script>', re.DOTALL)
_TYPES = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".csv": "text/csv; charset=utf-8",
    ".png": "image/png", ".svg": "image/svg+xml", ".toml": "text/plain; charset=utf-8",
    ".npz": "application/octet-stream",
}  # fmt: skip


class Form(dict[str, str]):
    """Fields of a form, the last of each name; `every` gives all of a name."""

    def __init__(self, body: bytes) -> None:
        self._pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=2000)
        super().__init__(self._pairs)

    def every(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._pairs if key == name]

    def number(self, name: str) -> int:
        """Whole number of a field; RecipeError for another text."""
        text = self.get(name, "0")
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise RecipeError(f"{name}: {text[:40]!r} is no whole number.")
        return int(text)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a handler needs of a request; `scripted` where the page's script asks, and JSON is the answer."""

    path: Mapping[str, Any]
    query: Mapping[str, str]
    form: Form
    body: bytes
    scripted: bool


Handler = Callable[[Asked], Response]


class Bench:
    """Handlers over one project and its queue."""

    def __init__(self, project: Project, queue: Queue) -> None:
        self.project, self.queue = project, queue

    def router(self) -> Router:
        """Addresses of the app."""
        specimen, run = "/specimens/{name}", "/specimens/{name}/runs/{run}"
        rows: list[tuple[str, str, Handler]] = [
            ("GET", "/", self.home), ("PUT", "/files", self.take_file), ("POST", "/files/remove", self.remove_file),
            ("POST", "/specimens", self.make_specimens), ("POST", "/demo", self.demo), ("POST", "/run", self.run_many),
            ("GET", specimen, self.specimen), ("POST", specimen, self.change_specimen),
            ("GET", specimen + "/compare", self.compare),
            ("GET", run, self.show_run), ("GET", run + "/report", self.report), ("GET", run + "/all.zip", self.archive),
            ("GET", run + "/files/{file:path}", self.result_file),
            ("POST", "/jobs/{number:int}/cancel", self.cancel),
            ("GET", "/cohort", self.cohort), ("POST", "/cohort", self.choose_cohort),
            ("GET", "/cohort/page", self.cohort_page), ("GET", "/cohort/results.csv", self.cohort_table),
            ("GET", "/instruments", self.instruments), ("POST", "/instruments", self.instrument_work),
            ("GET", "/instruments/chart.svg", self.chart),
            ("GET", "/static/{file}", self.static),
        ]  # fmt: skip
        routes = [Route(path, _in_thread(handler), methods=[method]) for method, path, handler in rows]
        return Router(routes)

    # Project

    def home(self, _: Asked) -> Response:
        """Files, specimens, queue."""
        return _page("home", views.home(self.project, self.queue))

    def take_file(self, asked: Asked) -> Response:
        """Keep one dropped file and say what it is."""
        if not asked.body:
            raise OutputError("the file is empty (0 bytes). Export it again.")
        stamp = asked.query.get("modified", "")
        modified = int(stamp) / 1000.0 if re.fullmatch(r"[0-9]{1,15}", stamp) else None
        look, note = self.project.add_file(asked.query.get("name", ""), asked.body, modified)
        row = views.template("file_row").render(look=look, note=note, users=[])
        return JSONResponse({"name": look.name, "kind": look.kind, "problem": look.problem, "note": note, "row": row})

    def remove_file(self, asked: Asked) -> Response:
        """Take a file away that belongs to no specimen."""
        self.project.remove_file(asked.form.get("name", ""))
        return _to("/#files")

    def make_specimens(self, asked: Asked) -> Response:
        """Make the specimens that were ticked, from pattern and run."""
        made = []
        for row in asked.form.every("row"):
            if f"take-{row}" not in asked.form:
                continue
            name = asked.form.get(f"name-{row}", "").strip()
            values = {kind: asked.form.get(f"{kind}-{row}", "") for kind in ("xrd", "tga")}
            checked, recipe, errors = read_form(values, name, self.project.files())
            if errors or checked is None or recipe is None:
                raise RecipeError(f"{name}: {' '.join(errors.values())}")
            self.project.save(name, checked, recipe, revision=0)
            made.append(name)
        if not made:
            raise RecipeError("no row was ticked: nothing was made.")
        if "run" in asked.form:
            for name in made:
                self._ask(name)
        return _to(f"/specimens/{quote(made[0])}" if len(made) == 1 else "/#specimens")

    def demo(self, _: Asked) -> Response:
        """Bring the demo's simulated specimens into the project."""
        from xrdcomp.simulate.cohort import load_cohort

        for entry in load_cohort():
            if entry.specimen_id in self.project.specimens():
                continue
            names: dict[str, Any] = {kind: f"files/{self.project.add_file(file.name, file.read_bytes())[0].name}"
                     for kind, file in (("xrd", entry.xrd), ("tga", entry.tga))}  # fmt: skip
            recipe = Recipe.of(None, radiation=entry.radiation, atmosphere=entry.atmosphere)
            self.project.save(entry.specimen_id, Measured(**names), recipe, revision=0)
        return _to("/#specimens")

    def run_many(self, asked: Asked) -> Response:
        """Run every specimen that was ticked."""
        names = asked.form.every("specimen")
        if not names:
            raise RecipeError("no specimen was ticked: nothing was run.")
        for name in names:
            self._ask(name)
        return _to("/#queue")

    def _ask(self, name: str) -> str:
        self.project.specimen(name)
        number = self.project.begin_run(name)
        self.queue.submit("analysis", f"{name}, run {number}", specimen=name, run=number)
        return number

    def cancel(self, asked: Asked) -> Response:
        """Take a job out of the queue or break it off."""
        self.queue.cancel(asked.path["number"])
        return _to(
            asked.form.get("back", "/") if re.fullmatch(r"/(?!/)[\w%.+()/ -]*", asked.form.get("back", "/")) else "/"
        )

    # One specimen

    def specimen(self, asked: Asked) -> Response:
        """Settings of a specimen with the pattern in view, its runs, its last result."""
        return _page("specimen", views.specimen(self.project, self.queue, asked.path["name"]))

    def change_specimen(self, asked: Asked) -> Response:
        """Save, run, undo, go back, or take away; a page, or JSON for the script that saves each change."""
        name, action, revision = asked.path["name"], asked.form.get("action", "save"), asked.form.number("revision")
        address = f"/specimens/{quote(name)}"
        if action == "undo":
            self.project.go_back(name, revision=revision)
        elif action == "back":
            self.project.go_back(name, revision=revision, to=asked.form.number("to"))
        elif action == "remove":
            self.project.take_away(name, revision=revision)
            return _to("/#specimens")
        else:
            return self._save(name, asked.form, revision, run=action == "run", scripted=asked.scripted)
        return _to(address)

    def _save(self, name: str, form: Form, revision: int, *, run: bool, scripted: bool) -> Response:
        values: dict[str, Any] = {**form, "phases": form.every("phases")}
        measured, recipe, errors = read_form(values, name, self.project.files())
        conflict = ""
        if measured is not None and recipe is not None:
            try:
                now = self.project.specimen(name)
                if revision != now.measured.revision or not views.same_settings(now, measured, recipe):
                    now = self.project.save(name, measured, recipe, revision=revision)
                if run:
                    self._ask(name)
                if scripted:
                    return JSONResponse({"revision": now.measured.revision, "errors": {}})
                return _to(f"/specimens/{quote(name)}" + ("#runs" if run else ""))
            except Conflict as error:
                conflict = str(error)
        if scripted:
            return JSONResponse({"errors": errors, "conflict": conflict}, 409 if conflict else 422)
        shown = views.specimen(self.project, self.queue, name) | {"errors": errors, "conflict": conflict}
        shown["values"] = shown["values"] | values
        return _page("specimen", shown, status=409 if conflict else 422)

    # Runs

    def show_run(self, asked: Asked) -> Response:
        """One run: answer, report, downloads."""
        return _page("run", views.run(self.project, self.queue, **_names(asked)))

    def compare(self, asked: Asked) -> Response:
        """Two runs side by side."""
        sides = {side: asked.query.get(side, "") for side in ("a", "b")}
        return _page("compare", views.compare(self.project, asked.path["name"], **sides))

    def report(self, asked: Asked) -> Response:
        """The report of a run, in a sandbox of its own."""
        return _report(self._result(asked, "report.html").read_text(encoding="utf-8"))

    def result_file(self, asked: Asked) -> Response:
        """One file of a result, to be kept."""
        file = self._result(asked, *asked.path["file"].split("/"))
        return _download(file.read_bytes(), f"{asked.path['name']}_{file.name}")

    def archive(self, asked: Asked) -> Response:
        """All files of a result in one archive."""
        folder, held = self._result(asked), io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file() and not file.is_symlink() and not file.name.startswith("."):
                    archive.write(file, file.relative_to(folder.parent).as_posix())
        return _download(held.getvalue(), "{name}_run{run}.zip".format(**_names(asked)))

    def _result(self, asked: Asked, *parts: str) -> Path:
        found = self.project.run(asked.path["name"], asked.path["run"])
        place = self.project.path("results", found.name, found.number, *parts)
        if found.result is None or not place.exists() or (parts and not place.is_file()):
            raise RecipeError(f"{found.name}, run {found.number}: there is no such file of a result.")
        return place

    # Cohort

    def cohort(self, _: Asked) -> Response:
        """Which specimens are looked at together, and their page."""
        return _page("cohort", views.cohort(self.project))

    def choose_cohort(self, asked: Asked) -> Response:
        """Choose the specimens of the cohort."""
        self.project.save_cohort(asked.form.every("specimen"), revision=asked.form.number("revision"))
        return _to("/cohort#together")

    def cohort_page(self, asked: Asked) -> Response:
        """Page of the cohort, in a sandbox of its own; with ``save`` as a file."""
        text = views.cohort_html(self.project)
        return _download(text.encode(), "cohort.html") if "save" in asked.query else _report(text)

    def cohort_table(self, _: Asked) -> Response:
        """Table of the cohort."""
        return _download(views.cohort_csv(self.project).encode(), "cohort.csv")

    # Instruments

    def instruments(self, _: Asked) -> Response:
        """Calibrations, check runs and their charts."""
        return _page("instruments", views.instruments(self.project, self.queue))

    def instrument_work(self, asked: Asked) -> Response:
        """Calibrate, record a check run, or note a service."""
        kind, told = views.instrument_task(self.project, asked.form)
        if kind:
            self.queue.submit(kind, told.pop("title"), **told)
        return _to("/instruments#queue")

    def chart(self, asked: Asked) -> Response:
        """Levey-Jennings chart of a quantity."""
        told = {name: asked.query.get(name, "") for name in ("instrument", "standard", "quantity")}
        policy = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
        return Response(views.chart_svg(self.project, **told), media_type="image/svg+xml", headers=policy)

    def static(self, asked: Asked) -> Response:
        """Style and script of the app."""
        kinds = {"app.css": "text/css; charset=utf-8", "app.js": "text/javascript; charset=utf-8"}
        name = asked.path["file"]
        if name not in kinds:
            return _words("There is no such page.", 404)
        file = resources.files("xrdcomp.app").joinpath("static", name)
        return Response(file.read_bytes(), media_type=kinds[name])


def _names(asked: Asked) -> dict[str, str]:
    return {"name": asked.path["name"], "run": asked.path["run"]}


def _in_thread(handler: Handler) -> Callable[[Request], Any]:
    """Handler that runs beside the loop, with the body read before; what is wrong becomes words and a status."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        asked = Asked(
            path=request.path_params, query=request.query_params, body=body,
            form=Form(body if request.method == "POST" else b""),
            scripted="application/json" in request.headers.get("accept", ""),
        )  # fmt: skip
        try:
            return await run_in_threadpool(handler, asked)
        except XrdcompError as error:
            status = 409 if isinstance(error, Conflict) else 400
            said = error.for_command(())
        except Exception as error:  # noqa: BLE001 - a defect on one page must not take the others away
            status, said = 500, f"This is a defect of the program ({type(error).__name__}: {error}). Please report it."
        return JSONResponse({"said": said}, status) if asked.scripted else _words(said, status)

    return endpoint


def _page(name: str, shown: Mapping[str, Any], *, status: int = 200) -> Response:
    return HTMLResponse(views.template(name).render(shown), status)


def _words(said: str, status: int) -> Response:
    return HTMLResponse(views.template("words").render(said=said, status=status), status)


def _to(address: str) -> Response:
    return RedirectResponse(address, 303)


def _report(text: str) -> Response:
    """A self-contained page whose own scripts may run and nothing else."""
    digests = (hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(text))
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests) or "'none'"
    headers = {"content-security-policy": REPORT_POLICY.format(hashes=hashes), "x-frame-options": "SAMEORIGIN"}
    return HTMLResponse(text, headers=headers)


def _download(data: bytes, name: str) -> Response:
    kind = _TYPES.get(Path(name).suffix, "application/octet-stream")
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    return Response(data, media_type=kind, headers=headers)


class _Server(uvicorn.Server):
    """Says when it is ready."""

    ready: Callable[[], None]

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()


def serve(root: Path, *, port: int, workers: int, ready: Callable[[str], None]) -> None:
    """Serve a project on loopback until a signal; `ready` is called with the address, token included."""
    project = Project(root)
    queue = None
    try:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(("127.0.0.1", port))
            except OSError as error:
                msg = f"port {port} of this computer cannot be had ({error.strerror}). Choose another with --port."
                raise OutputError(msg) from error
            number, token = listening.getsockname()[1], secrets.token_urlsafe(24)
            queue = Queue(project.root, workers=workers)
            guard = Guard(Bench(project, queue).router(), token=token, port=number, most_upload=most_upload())
            config = uvicorn.Config(
                guard, http=PatientProtocol, ws="none", lifespan="off", log_level="error", access_log=False,
                server_header=False, limit_concurrency=CONNECTIONS, timeout_keep_alive=30, backlog=128,
                timeout_graceful_shutdown=3, h11_max_incomplete_event_size=32 * 1024, proxy_headers=False,
            )  # fmt: skip
            server = _Server(config)
            server.ready = lambda: ready(f"http://127.0.0.1:{number}/?{urlencode({'token': token})}")
            server.run(sockets=[listening])
    finally:
        if queue is not None:
            queue.close()
        project.close()
