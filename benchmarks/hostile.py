"""Hostile settings and structures: each must end with exit code 2 and a sentence, soon and in little memory.

python -m benchmarks.hostile [--every N]

Each case runs the installed command on an embedded specimen in a process of its own. The table goes to docs/outputs.md.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.report import put_into_page
from xrdcomp.simulate.cohort import load_cohort

PAGE = Path(__file__).resolve().parents[1] / "docs" / "outputs.md"
MAX_SECONDS, MAX_MEGABYTES = 10.0, 1000.0
RUN = "from xrdcomp.cli.start import start; start()"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One attack: arguments after ``xrdcomp analyze SCAN`` and files that it needs; `kind` groups them."""

    kind: str
    name: str
    arguments: tuple[str, ...]
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """End of one attack: exit code, seconds of CPU, megabytes at most, first line on standard error."""

    case: Case
    code: int
    seconds: float
    megabytes: float
    told: str

    @property
    def holds(self) -> bool:
        """Exit code 2 with a sentence, within the bounds of time and memory."""
        quick = self.seconds <= MAX_SECONDS and self.megabytes <= MAX_MEGABYTES
        return self.code == 2 and quick and self.told.startswith(("xrdcomp: ", "Usage: "))


CELL = {"length_a": 9.4, "length_b": 9.4, "length_c": 6.9, "angle_alpha": 90, "angle_beta": 90, "angle_gamma": 120}
ATOMS = "Ca1 Ca 0.333333 0.666667 0.001\nP1 P 0.4 0.37 0.25\nO1 O 0.33 0.48 0.25\n"


def cif(*, group: str = "P 63/m", atoms: str = ATOMS, head: str = "data_x\n", tags: str = "", **cell: object) -> bytes:
    """Structure file with some parts exchanged."""
    lines = "".join(f"_cell_{name} {value}\n" for name, value in (CELL | cell).items())
    columns = "".join(f"_atom_site_{name}\n" for name in ("label", "type_symbol", "fract_x", "fract_y", "fract_z"))
    symbol = f"_space_group_name_H-M_alt '{group}'\n" if group else ""
    return (head + lines + symbol + tags + "loop_\n" + columns + atoms).encode()


def many_atoms(number: int) -> str:
    """Carbon atoms on a grid, so that none lies on another."""
    side = round(number ** (1 / 3)) + 1
    places = [(i, j, k) for i in range(side) for j in range(side) for k in range(side)][:number]
    return "".join(f"C{n} C {i / side:.5f} {j / side:.5f} {k / side:.5f}\n" for n, (i, j, k) in enumerate(places))


SETTINGS = (
    *(f"{key}={value}" for value in ("nan", "inf", "-inf", "1e999") for key in (
        "fit.grain_size_um", "fit.per_gram_std", "thermal.water_end_c",
        "composition.xrd_bias_std", "instrument.radius_mm", "instrument.equatorial_divergence",
        "quantification.amorphous_std",
    )),
    "fit.two_theta_range=[nan, 70]", "fit.two_theta_range=[15, inf]", "fit.two_theta_range=[70, 15]",
    "fit.two_theta_range=[200, 300]", "fit.two_theta_range=[15]", "fit.two_theta_range=[15, 15.1]",
    "fit.background_terms=1000000000", "fit.background_terms=0", "fit.max_iterations=1000000000",
    "composition.draws=1000000000", "composition.draws=-1", "thermal.bootstrap=1000000000",
    "composition.seed=-1", "composition.seed=99999999999999999999999999", "fit.mode=structured",
    "fit.amorphous=['tea']",
    "fit.grain_sizes_um={hydroxyapatite = nan}", "fit.grain_sizes_um={nothing = 1.0}", "instrument.wavelengths=[0.01]",
    "instrument.wavelengths=[4.5]", "instrument.wavelengths=[1.54, nan]", "instrument.wavelengths=[1.54, 0.0]",
    "instrument.radiation=UnobtainiumKa", "instrument.file=/dev/zero", "instrument.file=.",
    "instrument.file=nosuch.toml",
    "quantification.amorphous_file=/dev/zero", "quantification.k=[nan, 0.1]", "quantification.k=[1.0]",
    "identification.false_alarm_rate=0", "identification.false_alarm_rate=2", "identification.library=['nosuch']",
    "identification.own_phases=['/dev/zero']", "internal_standard=kryptonite", "internal_standard_fraction=2",
    "phases=[1, 2]", "no.such.setting=1", "fit=1", "=1", "fit.amorphous_patterns={protein = '/dev/zero'}",
    "quantification.reference_patterns={a = '.'}", "quantification.external_scan=/dev/zero",
    "sample_id='../../etc'", "composition.supported_above=0.01",
)  # fmt: skip
RECIPES = {
    "not TOML": b"fit = = 1",
    "binary": bytes(range(256)) * 8,
    "Latin-1": "# µ\nfit.mode = 'peaks'".encode("latin-1"),
    "empty": b"",
    "two megabytes": b"# " + b"x" * 2**21,
    "nested a thousand times": b"a = " + b"[" * 3000,
    "a number of 5000 digits": b"fit.grain_size_um = " + b"9" * 5000,
    "NaN": b"[fit]\ngrain_size_um = nan\n",
    "infinite in a list": b"[instrument]\nwavelengths = [1.5, inf]\n",
    "a table for a number": b"[fit.grain_size_um]\na = 1\n",
    "a date for a text": b"sample_id = 2020-01-01\n",
    "a key of 100 000 letters": b"a" * 100_000 + b" = 1\n",
    "10 000 unknown keys": b"".join(b"k%d = 1\n" % n for n in range(10_000)),
    "a key twice": b"[fit]\nmode = 'peaks'\nmode = 'peaks'\n",
    "control characters": b"sample_id = 'a\x1b[31m'\n",
}
INSTRUMENTS = {
    "no lines": b"name = 'x'\nemission_lines = []\n",
    "NaN": b"radius_mm = nan\n[[emission_lines]]\nwavelength = 1.5406\n",
    "no radius": b"radius_mm = 0.0\n[[emission_lines]]\nwavelength = 1.5406\n",
    "a negative wavelength": b"[[emission_lines]]\nwavelength = -1.5406\n",
    "a wavelength beyond the tables": b"[[emission_lines]]\nwavelength = 12.0\n",
    "no weight": b"[[emission_lines]]\nwavelength = 1.5406\nweight = 0.0\n",
    "a text for a number": b"radius_mm = 'far'\n[[emission_lines]]\nwavelength = 1.5406\n",
    "an unknown key": b"color = 'red'\n[[emission_lines]]\nwavelength = 1.5406\n",
}
STRUCTURES = {
    "no volume": cif(group="P 1", angle_alpha=60, angle_beta=60, angle_gamma=120),
    "angles that do not close": cif(group="P 1", angle_alpha=10, angle_beta=100, angle_gamma=170),
    "an edge of zero": cif(length_c=0.0),
    "an edge of NaN": cif(length_c="nan"),
    "an edge of 1e300": cif(length_c="1e300"),
    "an edge of 1e-300": cif(length_c="1e-300"),
    "edges of 0.01": cif(length_a=0.01, length_b=0.01, length_c=0.01),
    "edges of 400": cif(length_a=400, length_b=400, length_c=400),
    "edges of 60, no symmetry": cif(group="P 1", length_a=60, length_b=60, length_c=60, angle_gamma=90),
    "edges of 1e6": cif(length_a=1e6, length_b=1e6, length_c=1e6),
    "20 000 atoms": cif(group="P 1", atoms=many_atoms(20_000), angle_gamma=90),
    "1000 atoms, 192 operations": cif(
        group="F d -3 m:2", atoms=many_atoms(1000), length_b=9.4, length_c=9.4, angle_gamma=90
    ),
    "plutonium": cif(atoms="Pu1 Pu 0.1 0.2 0.3\n"),
    "oganesson": cif(atoms="Og1 Og 0.1 0.2 0.3\n"),
    "no element": cif(atoms="Zz1 Zz 0.1 0.2 0.3\n"),
    "no atoms": cif(atoms=""),
    "coordinates of 1e300": cif(atoms="Ca1 Ca 1e300 0.2 0.3\n"),
    "coordinates of NaN": cif(atoms="Ca1 Ca nan 0.2 0.3\n"),
    "two atoms on one place": cif(atoms="Ca1 Ca 0.1 0.2 0.3\nCa2 Ca 0.1 0.2 0.3\n"),
    "a group that does not exist": cif(group="Q 5"),
    "group number 999": cif(group="", tags="_space_group_IT_number 999\n"),
    "group number of 4000 digits": cif(group="", tags=f"_space_group_IT_number {'9' * 1000}\n"),
    "group number in superscript": cif(group="", tags="_space_group_IT_number ²\n"),
    "1000 operations": cif(
        group="", tags="loop_\n_space_group_symop_operation_xyz\n" + "'x,y,z'\n" * 1000
    ),
    "an operation that is none": cif(group="", tags="loop_\n_space_group_symop_operation_xyz\n'x,y,boom'\n"),
    "operations that are no group": cif(group="", tags="loop_\n_space_group_symop_operation_xyz\n'x,y,z'\n'2x,y,z'\n"),
    "a cell without its symmetry": cif(length_b=12.0),
    "not CIF": b"hello, world\n",
    "an open quote": cif() + b"_a 'open\n",
    "binary": bytes(range(256)) * 64,
    "UTF-16 cut": cif().decode().encode("utf-16")[:-1],
    "empty": b"",
    "20 megabytes": b"# " + b"x" * (20 * 2**20),
    "two structures": cif() + cif(head="data_y\n"),
    "a magnetic structure": cif(tags="_space_group_magn.number_BNS 1.1\n"),
    "a negative displacement": cif(
        atoms="Ca1 Ca 0.1 0.2 0.3 -0.1\n", tags=""
    ).replace(b"_atom_site_fract_z\n", b"_atom_site_fract_z\n_atom_site_U_iso_or_equiv\n"),
    "a displacement of 1e30": cif(atoms="Ca1 Ca 0.1 0.2 0.3 1e30\n").replace(
        b"_atom_site_fract_z\n", b"_atom_site_fract_z\n_atom_site_U_iso_or_equiv\n"
    ),
    "a loop that ends early": cif(atoms="Ca1 Ca 0.1 0.2\n"),
    "a million blocks": b"".join(b"data_%d\n_cell_length_a 1\n" % n for n in range(100_000)),
}  # fmt: skip
OPTIONS = (
    ("--wavelength", "0.01"), ("--wavelength", "1e-300"), ("--wavelength", "nan"), ("--wavelength", "inf"),
    ("--wavelength", "4.9"), ("--range", "nan,70"), ("--range", "1e300,2e300"), ("--phases", "/dev/zero"),
    ("--phases", "/proc/self/mem"), ("--instrument", "/dev/urandom"), ("--recipe", "/dev/zero"),
    ("--blank", "/dev/zero"),
    ("--internal-standard", "corundum:nan"), ("--sample-id", "con"), ("--wavelength", "0.1"),
)  # fmt: skip


def cases() -> Iterator[Case]:
    """Every attack."""
    for setting in SETTINGS:
        yield Case(kind="setting", name=setting, arguments=("--set", setting))
    for option in OPTIONS:
        yield Case(kind="option", name=" ".join(option), arguments=option)
    for name, content in RECIPES.items():
        yield Case(kind="recipe file", name=name, arguments=("--recipe", "r.toml"), files={"r.toml": content})
    for name, content in INSTRUMENTS.items():
        yield Case(kind="instrument file", name=name, arguments=("--instrument", "i.toml"), files={"i.toml": content})
    for name, content in STRUCTURES.items():
        yield Case(kind="CIF", name=name, arguments=("--phases", "p.cif"), files={"p.cif": content})


def attack(case: Case) -> Outcome:
    """Run one case in a folder of its own."""
    scan = next(entry.xrd for entry in load_cohort() if entry.specimen_id == "sim01_solid")
    with tempfile.TemporaryDirectory() as place:
        for name, content in case.files.items():
            Path(place, name).write_bytes(content)
        command = [sys.executable, "-c", RUN, "analyze", str(scan), "--no-figures", "--quiet", "--out", "out"]
        with Path(place, "stderr").open("w+b") as log:
            process = subprocess.Popen([*command, *case.arguments], cwd=place, stdout=subprocess.DEVNULL, stderr=log)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = usage.ru_utime + usage.ru_stime  # what other processes take of a shared machine does not count
            process.returncode = os.waitstatus_to_exitcode(status)
            log.seek(0)
            told = log.read().decode(errors="replace")
    lines = [line for line in told.splitlines() if line.strip()]
    return Outcome(
        case=case, code=process.returncode, seconds=seconds, megabytes=usage.ru_maxrss / 1024,
        told=lines[-1] if process.returncode == 3 and lines else (lines or [""])[0],
    )  # fmt: skip


def table(outcomes: list[Outcome]) -> str:
    """Summary by kind for the page."""
    head = ("what is hostile", "cases", "exit 2 with a sentence", "exit 3", "slowest, s of CPU", "most memory, MB")
    rows = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for kind in dict.fromkeys(item.case.kind for item in outcomes):
        found = [item for item in outcomes if item.case.kind == kind]
        good, bad = sum(item.holds for item in found), sum(item.code == 3 for item in found)
        slow, large = max(item.seconds for item in found), max(item.megabytes for item in found)
        rows.append(f"| {kind} | {len(found)} | {good} | {bad} | {slow:.1f} | {large:.0f} |")
    return "\n".join(rows)


def main() -> None:
    """Run every case, or each Nth, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    every = parser.parse_args().every
    outcomes = []
    for case in list(cases())[::every]:
        outcomes.append(found := attack(case))
        if not found.holds:
            cost = f"{found.seconds:.1f} s, {found.megabytes:.0f} MB"
            print(f"{case.kind}: {case.name}: exit {found.code}, {cost}: {found.told[:160]}", flush=True)
    print(table(outcomes))
    if every == 1:
        put_into_page(PAGE, "hostile", table(outcomes))
    sys.exit(not all(item.holds for item in outcomes))


if __name__ == "__main__":
    main()
