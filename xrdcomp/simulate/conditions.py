"""How a simulated specimen is measured: the diffractometer and the thermobalance."""

from __future__ import annotations

from dataclasses import dataclass

from xrdcomp.errors import PatternError
from xrdcomp.types import Atmosphere, EmissionLine

__all__ = ["RADIATIONS", "Hump", "TgaConditions", "TubeLine", "XrdConditions", "anode_lines"]


@dataclass(frozen=True, kw_only=True)
class TubeLine:
    """One line of the tube: wavelength in ångström, weight relative to Kα1, natural FWHM in ångström."""

    wavelength: float
    weight: float
    fwhm: float


def _tube(
    kalpha1: float, kalpha2: float, kbeta: float, energy_width_ev: float
) -> dict[str, tuple[float, float]]:
    width = kalpha1 * kalpha1 * energy_width_ev / 12398.42
    return {
        "kalpha1": (kalpha1, width),
        "kalpha2": (kalpha2, 1.15 * width),
        "kbeta": (kbeta, 1.5 * width * (kbeta / kalpha1) ** 2),
    }


# Peak wavelengths as in common use (Hölzer et al. 1997 for Cr, Co, Cu; Bearden 1967 for Mo, Ag); natural
# widths of Kα1 in eV after Krause & Oliver (1979).
_TUBES: dict[str, dict[str, tuple[float, float]]] = {
    "Cu": _tube(1.540598, 1.544426, 1.392250, 2.3),
    "Co": _tube(1.789010, 1.792900, 1.620830, 2.9),
    "Mo": _tube(0.709319, 0.713609, 0.632305, 6.4),
    "Cr": _tube(2.289760, 2.293663, 2.084920, 2.1),
    "Ag": _tube(0.559422, 0.563813, 0.497082, 8.9),
    "Fe": _tube(1.936042, 1.939980, 1.756610, 2.6),
}
RADIATIONS = tuple(_TUBES)


def anode_lines(anode: str) -> dict[str, tuple[float, float]]:
    """Wavelength and natural FWHM (Å) of ``kalpha1``, ``kalpha2`` and ``kbeta`` of an anode."""
    return dict(_TUBES[anode])


_TUNGSTEN_LALPHA = (1.476300, 0.001150)


@dataclass(frozen=True, kw_only=True)
class Hump:
    """A broad maximum of the holder: centre and FWHM in degrees, height relative to the mean signal.

    Attributes
    ----------
    two_theta, fwhm : float, degrees
    height : float
    """

    two_theta: float
    fwhm: float
    height: float


@dataclass(frozen=True, kw_only=True)
class XrdConditions:
    """The diffractometer and the scan.

    Parameters
    ----------
    anode : str, one of ``RADIATIONS``
    two_theta_min, two_theta_max, step : float, degrees
    peak_counts : float
        Expected counts at the highest point of the pattern; more lowers the noise.
    absolute_scale : float or None
        Counts of a thick specimen are absolute_scale · σ(2θ) / (2 μ/ρ), σ in electron units per dalton and
        μ/ρ in cm²/g.
        Replaces `peak_counts`, so that specimens can be compared with an external standard.
    counting_time_s : float
        Written into the pattern; does not change the counts.
    radius_mm : float
    displacement_mm : float
        Specimen surface behind the goniometer axis (positive): lines move by −2 s cosθ / R, to lower angles.
    zero_shift : float, degrees, observed = true + zero_shift
    monochromator_two_theta : float or None
        Diffraction angle of a crystal monochromator, None for a filter.
    kalpha2_ratio : float
        Kα2 relative to Kα1; 0 for a Kα1 instrument.
    kbeta_ratio, tungsten_ratio : float
        Residual Kβ and W Lα relative to Kα1 as they reach the detector.
    fwhm_u, fwhm_v, fwhm_w : float, deg²
        Gaussian part of the optics, FWHM² = U tan²θ + V tanθ + W.
    receiving_slit_deg : float
        Width of the receiving slit, a box in 2θ.
    axial_half_angle_deg : float
        Half angle that the Soller slits pass in the incident and diffracted beam; larger pulls longer tails
        to low angles. 0 switches axial divergence off.
    transparency : bool
        Whether the beam's depth in the specimen broadens and shifts the lines (thick specimen).
    variable_slit : bool
        Intensity then carries a factor sinθ.
    background_constant, air_scatter : float
        Flat background, and air scatter at 10°, relative to the specimen's mean signal.
    air_exponent : float
        Air scatter falls as (10° / 2θ) to this power.
    humps : tuple of Hump
        Of the specimen holder; none by default.
    """

    anode: str = "Cu"
    two_theta_min: float = 5.0
    two_theta_max: float = 80.0
    step: float = 0.02
    peak_counts: float = 5000.0
    absolute_scale: float | None = None
    counting_time_s: float = 1.0
    radius_mm: float = 240.0
    displacement_mm: float = 0.0
    zero_shift: float = 0.0
    monochromator_two_theta: float | None = None
    kalpha2_ratio: float = 0.5
    kbeta_ratio: float = 0.0
    tungsten_ratio: float = 0.0
    fwhm_u: float = 0.004
    fwhm_v: float = -0.002
    fwhm_w: float = 0.0025
    receiving_slit_deg: float = 0.03
    axial_half_angle_deg: float = 1.6
    transparency: bool = False
    variable_slit: bool = False
    background_constant: float = 0.05
    air_scatter: float = 0.25
    air_exponent: float = 1.5
    humps: tuple[Hump, ...] = ()

    def __post_init__(self) -> None:
        if self.anode not in _TUBES:
            msg = f"anode {self.anode!r} is not simulated; choose one of {', '.join(_TUBES)}."
            raise PatternError(msg)
        if not 0.0 < self.two_theta_min < self.two_theta_max <= 170.0 or self.step <= 0.0:
            msg = (
                f"the scan {self.two_theta_min:g} to {self.two_theta_max:g} degrees, step {self.step:g}, "
                "is not one; angles must rise between 0 and 170 with a positive step."
            )
            raise PatternError(msg)

    @property
    def wavelength(self) -> float:
        """Wavelength of Kα1, ångström."""
        return _TUBES[self.anode]["kalpha1"][0]

    @property
    def tube_lines(self) -> tuple[TubeLine, ...]:
        """All lines that reach the detector, Kα1 first."""
        tube = _TUBES[self.anode]
        wanted = [("kalpha1", 1.0), ("kalpha2", self.kalpha2_ratio), ("kbeta", self.kbeta_ratio)]
        lines = [TubeLine(wavelength=tube[n][0], weight=w, fwhm=tube[n][1]) for n, w in wanted if w > 0.0]
        if self.tungsten_ratio > 0.0:
            wavelength, fwhm = _TUNGSTEN_LALPHA
            lines.append(TubeLine(wavelength=wavelength, weight=self.tungsten_ratio, fwhm=fwhm))
        return tuple(lines)

    @property
    def emission_lines(self) -> tuple[EmissionLine, ...]:
        """Kα1 and Kα2, as an instrument's file would state them: residual lines are not announced."""
        tube = _TUBES[self.anode]
        lines = [EmissionLine(wavelength=tube["kalpha1"][0], weight=1.0)]
        if self.kalpha2_ratio > 0.0:
            lines.append(EmissionLine(wavelength=tube["kalpha2"][0], weight=self.kalpha2_ratio))
        return tuple(lines)


@dataclass(frozen=True, kw_only=True)
class TgaConditions:
    """The thermobalance and its programme.

    Parameters
    ----------
    heating_rate_k_min : float
    start_c, end_c : float, °C
    sample_mass_mg : float
        In vacuum; the balance is taken to show it at the start. A balance shows less by the buoyancy of the cold
        specimen (0.08 % at 1.5 g/cm³), so that what has left weighs too little here by its own: the largest error
        that zeroing can make.
    noise_ug : float
        Standard deviation of a reading.
    drift_ug_h : float
        Steady drift of the balance; positive lets the mass grow.
    wander_ug : float
        Standard deviation of a slow random walk at the end of the run.
    pan_volume_cm3 : float
        Volume of pan and suspension in the hot zone; with the specimen's own volume it gives the buoyancy.
    sample_density_g_cm3 : float
    atmosphere : {"air", "nitrogen", …}
    holds : tuple of (temperature °C, minutes)
        Isothermal segments, in rising order.
    points : int
        Readings in the run, evenly spaced in time.
    furnace_lag_s : float
        Time constant with which the furnace takes up the ramp.
    """

    heating_rate_k_min: float = 10.0
    start_c: float = 25.0
    end_c: float = 1000.0
    sample_mass_mg: float = 12.0
    noise_ug: float = 2.0
    drift_ug_h: float = 0.0
    wander_ug: float = 0.0
    pan_volume_cm3: float = 0.03
    sample_density_g_cm3: float = 1.5
    atmosphere: Atmosphere = "air"
    holds: tuple[tuple[float, float], ...] = ()
    points: int = 3500
    furnace_lag_s: float = 15.0

    def __post_init__(self) -> None:
        if self.heating_rate_k_min <= 0 or self.end_c <= self.start_c or self.points < 10:
            msg = (
                f"a programme from {self.start_c:g} to {self.end_c:g} °C at {self.heating_rate_k_min:g} "
                f"K/min with {self.points} points is not one; the rate must be positive, the end above "
                "the start, and there must be 10 points or more."
            )
            raise PatternError(msg)
        temperatures = [t for t, _ in self.holds]
        if temperatures != sorted(temperatures) or any(
            not self.start_c <= t <= self.end_c for t in temperatures
        ):
            msg = f"holds must rise within the programme; they are {temperatures} °C."
            raise PatternError(msg)

    @property
    def inert(self) -> bool:
        """Whether organic matter chars instead of burning."""
        return self.atmosphere in ("nitrogen", "argon")
