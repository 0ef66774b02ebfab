"""Amorphous matter from pair distances: sum rule and low-angle limit hold by construction.

The coherent intensity of a liquid is that of its molecules, by the Debye equation on their atoms, plus what the
arrangement of molecules adds: ρ ∫ (g − 1) sin(qr)/(qr) d³r with an amplitude per site. As g is zero where atoms touch,
∫ q² (S − 1) dq = −2π²ρ [Krogh-Moe 1956; Norman 1957] holds whatever the model.

- water: oxygen–oxygen distribution measured at 25 °C [Soper 2000; Skinner 2013], molecular amplitudes with what
  charge that hydrogen gives away [Sorenson et al. 2000], S(0) from the compressibility;
- chains (fat, protein, polysaccharide): conformers with ideal bond geometry and rotational freedom; their packing
  by the integral equation of polymer liquids with hard sites [Schweizer & Curro 1987];
- amorphous calcium phosphate: apatite-like order within clusters of about a nanometre, positions blurred, a continuum
  of the same density outside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import CubicSpline, PchipInterpolator

from benchmarks.worlds.atoms import Array, atom, compton, formula_mass
from benchmarks.worlds.crystals import structure

Q: Array = np.linspace(0.02, 7.6, 1517)
DA_PER_A3 = 0.602214  # dalton per Å³ of 1 g/cm³

# --- water -------------------------------------------------------------------------------------------------
# r in Å and g of oxygen pairs, read off the published curves.
_OXYGENS = (
    *((2.30, 0.0), (2.40, 0.02), (2.50, 0.14), (2.60, 0.72), (2.68, 1.66), (2.75, 2.40), (2.80, 2.57), (2.86, 2.43)),
    *((2.95, 1.90), (3.05, 1.44), (3.15, 1.14), (3.25, 0.95), (3.35, 0.86), (3.45, 0.84), (3.60, 0.86), (3.80, 0.93)),
    *((4.00, 1.01), (4.25, 1.09), (4.50, 1.13), (4.75, 1.11), (5.00, 1.02), (5.25, 0.93), (5.55, 0.88), (5.85, 0.90)),
    *((6.15, 0.96), (6.50, 1.03), (6.80, 1.055), (7.10, 1.04), (7.50, 1.0), (7.90, 0.975), (8.30, 0.98), (8.80, 1.005)),
    *((9.20, 1.01), (9.80, 1.0), (10.5, 0.997), (11.5, 1.0), (14.0, 1.0)),
)
WATER_DENSITY = 0.03334  # molecules per Å³
WATER_S0 = 0.0628  # ρ k T times the compressibility, 25 °C


def water(*, sharpness: float = 1.0) -> Array:
    """Coherent and incoherent scattering of liquid water on `Q`, electron units per dalton.

    `sharpness` scales g − 1 beyond the first shell: cold or bound water has more of it. What the curve, read off with
    its errors, lacks at q = 0 (compressibility) and at 0.7 Å⁻¹ (7.3 electron units a molecule [Hura 2000]) is put into
    two broad humps of a few per cent.
    """
    r = np.linspace(0.01, 14.0, 2800)
    points = np.array(_OXYGENS)
    g = np.asarray(PchipInterpolator(points[:, 0], points[:, 1])(np.maximum(r, 2.3)), dtype=np.float64)
    h = np.where(r < 3.4, g - 1.0, sharpness * (g - 1.0))
    drawn = np.exp(-(Q**2) / (2.0 * 2.2**2))
    oxygen = atom("O").f(Q) * (1.0 + 0.11 * drawn)
    hydrogen = atom("H").f(Q) * (1.0 - 0.44 * drawn)
    near, far = np.sinc(0.957 * Q / np.pi), np.sinc(1.513 * Q / np.pi)
    cross = 4.0 * (oxygen * np.conj(hydrogen)).real * near
    molecule = np.abs(oxygen) ** 2 + cross + np.abs(hydrogen) ** 2 * (2.0 + 2.0 * far)
    amplitude = np.abs(oxygen + 2.0 * hydrogen * near)

    def added(function: Array, q: Array) -> Array:
        kernel = np.sinc(np.outer(q, r) / np.pi)
        return np.asarray(
            4.0 * np.pi * WATER_DENSITY * np.trapezoid(function * r**2 * kernel, r, axis=1), dtype=np.float64
        )

    humps = [np.exp(-(((r - 3.2) / 0.3) ** 2)), np.exp(-(((r - 6.0) / 2.0) ** 2))]
    at = np.array([0.0, 0.7])
    wanted = (7.3 - float(np.interp(0.7, Q, molecule))) / float(np.interp(0.7, Q, amplitude)) ** 2
    lacking = np.array([WATER_S0 - 1.0, wanted]) - added(h, at)
    shares = np.linalg.solve(np.array([added(hump, at) for hump in humps]).T, lacking)
    h = h + shares[0] * humps[0] + shares[1] * humps[1]
    formula = {"H": 2.0, "O": 1.0}
    coherent = molecule + amplitude**2 * added(h, Q)
    return np.asarray(coherent / formula_mass(formula) + compton(formula, Q), dtype=np.float64)


# --- chains ------------------------------------------------------------------------------------------------


class Conformer:
    """A molecule that grows atom by atom: heavy atoms with the hydrogens each carries, positions in Å."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.elements: list[str] = []
        self.hydrogens: list[int] = []
        self.xyz: list[Array] = []
        self._seed = [np.array([0.0, 1.4, 0.0]), np.array([0.0, 0.0, 0.0]), np.array([1.5, 0.0, 0.0])]

    def _at(self, index: int) -> Array:
        return self.xyz[index] if index >= 0 else self._seed[index]

    def add(self, kind: str, to: tuple[int, int, int], length: float, angle: float, torsion: float) -> int:
        """Bond an atom, `kind` its element and hydrogens as in ``"C2"``, to the first of three atoms.

        `angle` is that to the second, `torsion` that about the bond of the two to the third, in degrees.
        """
        c, b, a = (self._at(index) for index in to)
        theta, phi = np.radians(180.0 - angle), np.radians(torsion)
        along = (c - b) / np.linalg.norm(c - b)
        normal = np.cross(b - a, along)
        normal /= max(float(np.linalg.norm(normal)), 1e-9)
        side = np.cross(normal, along)
        across = np.cos(phi) * side + np.sin(phi) * normal
        self.xyz.append(c + length * (np.cos(theta) * along + np.sin(theta) * across))
        self.elements.append(kind[0])
        self.hydrogens.append(int(kind[1:] or 0))
        return len(self.xyz) - 1

    def gauche(self, trans: float = 0.6) -> float:
        """Torsion of a bond that turns: trans or one of two gauche, ± 10°."""
        state = self.rng.choice([180.0, 65.0, -65.0], p=(trans, (1 - trans) / 2, (1 - trans) / 2))
        return float(state + self.rng.normal(0.0, 10.0))


def fat(rng: np.random.Generator) -> Conformer:
    """A C18 acyl chain of a melt with its ester oxygens: two bonds in three trans."""
    chain = Conformer(rng)
    chain.add("O", (-1, -2, -3), 1.34, 117.0, 180.0)
    chain.add("C", (0, -1, -2), 1.34, 117.0, 180.0)
    chain.add("O", (1, 0, -1), 1.21, 123.0, 0.0)
    before = (1, 0, -1)
    for number in range(17):
        new = chain.add("C3" if number == 16 else "C2", before, 1.53, 113.0, chain.gauche(0.66))
        before = (new, before[0], before[1])
    return chain


def peptide(rng: np.random.Generator, phi: float, psi: float, residues: int = 20) -> Conformer:
    """A polypeptide about (φ, ψ) ± 12°; side chains of none to five heavy atoms, as tissue has them on average."""
    chain = Conformer(rng)
    before = (-1, -2, -3)
    for _ in range(residues):
        n = chain.add("N1", before, 1.33, 117.0, psi + float(rng.normal(0.0, 12.0)))
        ca = chain.add("C1", (n, before[0], before[1]), 1.46, 122.0, 180.0)
        turn = phi + float(rng.normal(0.0, 12.0))
        c = chain.add("C", (ca, n, before[0]), 1.52, 111.0, turn)
        chain.add("O", (c, ca, n), 1.23, 120.5, psi + 180.0)
        line = (ca, n, before[0])
        for step in range(int(rng.choice(6, p=(0.25, 0.2, 0.12, 0.2, 0.13, 0.1)))):
            kind = "C2" if step < 2 or rng.random() < 0.55 else str(rng.choice(["N1", "O1"]))
            new = chain.add(kind, line, 1.52, 111.5, turn - 122.0 if step == 0 else chain.gauche(0.5))
            line = (new, line[0], line[1])
        before = (c, ca, n)
    return chain


def sugar(rng: np.random.Generator, rings: int = 8) -> Conformer:
    """A chain of (1→4) linked pyranose rings: chairs of 1.43 Å bonds, oxygens equatorial, free about the bridges."""
    chain = Conformer(rng)
    before = (-1, -2, -3)
    for _ in range(rings):
        # C4, C3, C2, C1, O5, C5 round the chair, torsions ± 56°
        c4 = chain.add("C1", before, 1.43, 117.0, float(rng.normal(-140.0, 18.0)))
        c3 = chain.add("C1", (c4, before[0], before[1]), 1.52, 109.0, float(rng.normal(100.0, 18.0)))
        c2 = chain.add("C1", (c3, c4, before[0]), 1.52, 111.0, 180.0)
        c1 = chain.add("C1", (c2, c3, c4), 1.52, 110.0, 54.0)
        o5 = chain.add("O", (c1, c2, c3), 1.43, 109.0, -57.0)
        c5 = chain.add("C1", (o5, c1, c2), 1.43, 112.0, 60.0)
        chain.add("O1", (c3, c4, c5), 1.42, 109.0, 180.0)
        chain.add("O1", (c2, c3, c4), 1.42, 109.0, 174.0)
        c6 = chain.add("C2", (c5, o5, c1), 1.52, 107.0, 180.0)
        chain.add("O1", (c6, c5, o5), 1.42, 111.0, chain.gauche(0.3))
        bridge = chain.add("O", (c1, c2, c3), 1.40, 107.0, 180.0)
        before = (bridge, c1, c2)
    return chain


@dataclass(frozen=True, kw_only=True, eq=False)
class Chains:
    """Conformers, averaged, per heavy atom: `coherent` intensity, `form` of the chain, mean `amplitude`, on `Q`."""

    coherent: Array
    form: Array
    amplitude: Array
    formula: dict[str, float]


def averaged(conformers: list[Conformer]) -> Chains:
    """Debye equation over the atoms of each conformer."""
    sites = sum(len(one.xyz) for one in conformers)
    formula: dict[str, float] = {}
    united: dict[tuple[str, int], Array] = {}
    for one in conformers:
        for element, carried in zip(one.elements, one.hydrogens, strict=True):
            formula[element] = formula.get(element, 0.0) + 1.0 / sites
            formula["H"] = formula.get("H", 0.0) + carried / sites
            if (element, carried) not in united:
                near = np.sinc(1.09 * Q / np.pi)
                united[element, carried] = (atom(element).f(Q) + carried * atom("H").f(Q) * near).real
    names = sorted(united)
    bins, reach = 0.02, 12_000
    histograms = {(i, j): np.zeros(reach) for i in range(len(names)) for j in range(len(names)) if i <= j}
    amplitude = np.zeros(len(Q))
    for one in conformers:
        xyz = np.array(one.xyz)
        distance = np.linalg.norm(xyz[:, None] - xyz[None], axis=2)
        kind = np.array([names.index(pair) for pair in zip(one.elements, one.hydrogens, strict=True)])
        for (i, j), histogram in histograms.items():
            some = distance[np.ix_(kind == i, kind == j)].ravel()
            histogram += (1.0 if i == j else 2.0) * np.bincount((some / bins + 0.5).astype(int), minlength=reach)
        for number in kind:
            amplitude += united[names[number]] / sites
    coherent, form = np.zeros(len(Q)), np.zeros(len(Q))
    r = bins * np.flatnonzero(sum(histograms.values(), np.zeros(reach)))
    # bonds and 1–3 distances vibrate by 0.055 Å, farther pairs more
    blur = np.where(r < 0.5, 0.0, np.where(r < 2.7, 0.055, 0.12))
    kernel = np.sinc(np.outer(Q, r) / np.pi) * np.exp(-0.5 * np.outer(Q**2, blur**2))
    for (i, j), histogram in histograms.items():
        total = kernel @ histogram[np.rint(r / bins).astype(int)] / sites
        coherent += united[names[i]] * united[names[j]] * total
        form += total
    # a hydrogen-bearing site scatters more than its squared amplitude: atoms apart from their mean
    kinds = [pair for one in conformers for pair in zip(one.elements, one.hydrogens, strict=True)]
    for (element, carried), f in united.items():
        share = kinds.count((element, carried)) / sites
        near, far = np.sinc(1.09 * Q / np.pi), np.sinc(1.78 * Q / np.pi)
        h = atom("H").f(Q).real
        heavy = atom(element).f(Q)
        own = np.abs(heavy) ** 2 + 2 * carried * heavy.real * h * near + carried * h**2 * (1 + (carried - 1) * far)
        coherent += share * (own - f**2)
    return Chains(coherent=coherent, form=form, amplitude=amplitude, formula=formula)


def packed(form: Array, site_density: float, diameter: float) -> Array:
    """ρ ĥ(q) on `Q` of chains of hard sites: h = ω² ĉ / (1 − ρ ω ĉ) with h = −1 inside the core and c = 0 outside.

    The Percus–Yevick closure; the direct correlations inside the core are found by continuation in density.
    """
    n, dr = 1024, 0.06
    r = dr * np.arange(1, n)
    k = np.pi * np.arange(1, n) / (n * dr)
    omega = np.asarray(CubicSpline(Q, form)(np.minimum(k, Q[-1])), dtype=np.float64)
    omega = np.where(k > Q[-1], 1.0, omega)
    forward = 4.0 * np.pi * dr * np.sin(np.outer(k, r)) * r / k[:, None]
    core = r < diameter
    back = (k[1] - k[0]) / (2.0 * np.pi**2) * np.sin(np.outer(r[core], k)) * k / r[core, None]
    inward = forward[:, core]

    c = -np.ones(int(core.sum()))
    for share in (0.05, 0.15, 0.3, 0.45, 0.6, 0.72, 0.82, 0.9, 0.95, 1.0):
        density = share * site_density
        for _ in range(60):
            transformed = inward @ c
            denominator = 1.0 - density * omega * transformed
            residual = back @ (omega**2 * transformed / denominator) + 1.0
            if float(np.abs(residual).max()) < 1e-8:
                break
            jacobian = back @ ((omega**2 / denominator**2)[:, None] * inward)
            step = np.linalg.lstsq(jacobian, -residual, rcond=1e-10)[0]
            # the structure factor stays positive
            factor = 1.0
            while np.any(1.0 - density * omega * (inward @ (c + factor * step)) <= 0.0):
                factor *= 0.5
            c = c + factor * step
    transformed = inward @ c
    h = site_density * omega**2 * transformed / (1.0 - site_density * omega * transformed)
    return np.asarray(np.interp(Q, k, h), dtype=np.float64)


MELTS: dict[str, tuple[Callable[[np.random.Generator], Conformer], float, float]] = {
    # conformer, g/cm³, diameter in Å of a heavy atom with its hydrogens
    "lipid": (fat, 0.91, 3.75),
    "collagen": (lambda rng: peptide(rng, -75.0, 150.0), 1.33, 3.2),
    "keratin": (lambda rng: peptide(rng, -60.0, -45.0), 1.30, 3.2),
    "polysaccharide": (sugar, 1.50, 3.1),
}


@lru_cache(maxsize=64)
def melt(name: str, batch: int = 0) -> Array:
    """Coherent and incoherent scattering of a batch on `Q`, electron units per dalton.

    Batches differ in their conformers, by 2.5 % in density and by 0.06 Å in the diameter of their sites.
    """
    conformer, density, diameter = MELTS[name]
    rng = np.random.default_rng([len(name), ord(name[0]), batch])
    chains = averaged([conformer(rng) for _ in range(12)])
    mass = sum(n * atom(element).mass for element, n in chains.formula.items())
    spread = rng.normal(0.0, 1.0, 2) if batch else np.zeros(2)
    sites = density * (1.0 + 0.025 * float(np.clip(spread[0], -2, 2))) * DA_PER_A3 / mass
    between = packed(chains.form, sites, diameter + 0.06 * float(np.clip(spread[1], -2, 2)))
    coherent = np.maximum(chains.coherent + chains.amplitude**2 * between, 0.0)
    return np.asarray(coherent / mass + compton(chains.formula, Q), dtype=np.float64)


# --- amorphous calcium phosphate ---------------------------------------------------------------------------


def phosphate(*, cluster: float = 11.0, blur: float = 0.14, growth: float = 0.05, expansion: float = 1.03) -> Array:
    """Coherent and incoherent scattering of water-free Ca9(PO4)6 on `Q`, electron units per dalton.

    Pairs of apatite's calcium and phosphate weighted with the common volume of spheres of `cluster` Å, beyond which all
    is continuum; distances scatter by `blur` Å and by `growth` Å more at each √Å, bonds of phosphate by 0.06 Å. All
    but these bonds is wider by `expansion` than in apatite, of 3.16 g/cm³: 1.03 is 2.8 g/cm³.
    """
    crystal = structure("hydroxyapatite")
    orth = np.array(crystal.cell.orth.mat)
    keep = crystal.occupancy > 0.9  # without hydroxyl
    elements = np.array(crystal.elements)[keep]
    atoms = crystal.xyz[keep] @ orth.T
    there = {"Ca": 0.9, "P": 1.0, "O": 1.0}
    number = {name: there[name] * float((elements == name).sum()) for name in there}
    axes = [np.arange(-2, 3), np.arange(-2, 3), np.arange(-3, 4)]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3) @ orth.T

    def common(r: Array) -> Array:
        x = np.minimum(r / cluster, 1.0)
        return np.asarray(1.0 - 1.5 * x + 0.5 * x**3, dtype=np.float64)

    fine = np.linspace(0.0, cluster, 600)
    hole = 4.0 * np.pi * np.trapezoid(common(fine) * fine**2 * np.sinc(np.outer(Q, fine) / np.pi), fine, axis=1)
    bins, volume = 0.02, crystal.cell.volume * expansion**3
    amplitude = {name: atom(name).f(Q) for name in there}
    total = sum((number[name] * np.abs(amplitude[name]) ** 2 for name in there), np.zeros(len(Q)))
    for first in there:
        for second in there:
            one, other = atoms[elements == first], atoms[elements == second]
            vectors = other[None, :, None] - one[:, None, None] + lattice[None, None]
            r = np.linalg.norm(vectors, axis=-1).ravel()
            r = np.where((r < 1.75) | ((r < 2.7) & (first == second)), r, expansion * r)
            r = r[(r > 0.5) & (r < cluster)]
            histogram = np.bincount((r / bins + 0.5).astype(int)) * there[first] * there[second]
            at: Array = bins * np.arange(len(histogram), dtype=np.float64)
            bonded = (at < 1.75) | ((at < 2.7) & (first == "O") & (second == "O"))
            sigma = np.where(bonded, 0.06, np.sqrt(blur**2 + growth**2 * at))
            kernel = np.sinc(np.outer(Q, at) / np.pi) * np.exp(-0.5 * np.outer(Q**2, sigma**2))
            pairs = kernel @ (histogram * common(at)) - number[first] * number[second] / volume * hole
            total = total + (amplitude[first] * np.conj(amplitude[second])).real * pairs
    mass = sum(n * atom(name).mass for name, n in number.items())
    return np.asarray(total / mass + compton(number, Q), dtype=np.float64)
