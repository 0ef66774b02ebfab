"""A methods paragraph for a manuscript, generated from what was done, with its references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xrdcomp.present.tables import BASIS_LABELS, gas_label, label_of
from xrdcomp.results import SampleResult

REFERENCES = {
    "rietveld": "Rietveld, H. M. (1969). J. Appl. Cryst. 2, 65–71.",
    "varpro": "Golub, G. H. & Pereyra, V. (1973). SIAM J. Numer. Anal. 10, 413–432.",
    "lmfit": "Newville, M. et al. (2014). LMFIT: Non-linear least-square minimization and curve-fitting for Python. "
    "Zenodo. https://doi.org/10.5281/zenodo.11813.",
    "gemmi": "Wojdyr, M. (2022). J. Open Source Softw. 7, 4200.",
    "tch": "Thompson, P., Cox, D. E. & Hastings, J. B. (1987). J. Appl. Cryst. 20, 79–83.",
    "finger": "Finger, L. W., Cox, D. E. & Jephcoat, A. P. (1994). J. Appl. Cryst. 27, 892–900.",
    "dollase": "Dollase, W. A. (1986). J. Appl. Cryst. 19, 267–272.",
    "jarvinen": "Järvinen, M. (1993). J. Appl. Cryst. 26, 525–531.",
    "brindley": "Brindley, G. W. (1945). Philos. Mag. 36, 347–369.",
    "currie": "Currie, L. A. (1968). Anal. Chem. 40, 586–593.",
    "iso": "ISO 11843-1:1997. Capability of detection. Part 1: Terms and definitions.",
    "scarlett": "Scarlett, N. V. Y. & Madsen, I. C. (2006). Powder Diffr. 21, 278–284.",
    "chung": "Chung, F. H. (1974). J. Appl. Cryst. 7, 519–525.",
    "hill": "Hill, R. J. & Howard, C. J. (1987). J. Appl. Cryst. 20, 467–474.",
    "oconnor": "O’Connor, B. H. & Raven, M. D. (1988). Powder Diffr. 3, 2–6.",
}
METHODS = {
    "absolute": ("on an absolute scale, with calculated scattering per gram of crystalline and amorphous parts", ()),
    "internal_standard": ("with an internal standard", ()),
    "external_standard": ("with an external standard", ("oconnor",)),
    "ponkcs": ("by the PONKCS method", ("scarlett",)),
    "rir": ("by reference intensity ratios", ("chung",)),
    "crystallinity": ("from crystallinity with a calibrated constant", ()),
    "summation": ("as a sum of reference patterns", ("chung",)),
    "hill_howard": ("normalised to the crystalline part", ("hill",)),
}
SOURCES = {"xrd": "diffraction", "tga": "thermogravimetry"}
MODES = {
    "structure": "intensities calculated from crystal structures",
    "peaks": "freely refined intensities of reflections",
}


@dataclass
class Paragraph:
    """Sentences collected so far, and the keys of their references in order."""

    sentences: list[str] = field(default_factory=list)
    cited: list[str] = field(default_factory=list)

    def say(self, sentence: str, *keys: str) -> None:
        """Add a sentence, with the numbers of its references before the full stop."""
        for key in keys:
            if key not in self.cited:
                self.cited.append(key)
        numbers = ",".join(str(self.cited.index(key) + 1) for key in keys)
        self.sentences.append(sentence + (f" [{numbers}]" if numbers else "") + ".")

    @property
    def text(self) -> str:
        """The paragraph."""
        return " ".join(self.sentences)

    @property
    def references(self) -> list[str]:
        """References in the order of their numbers."""
        return [REFERENCES[key] for key in self.cited]


def methods_of(result: SampleResult) -> Paragraph:
    """What was done to this specimen, for the methods section of a manuscript."""
    told = Paragraph()
    version = result.software.get("xrdcomp", "")
    measured = [
        name for name, part in (("an X-ray powder pattern", result.xrd), ("thermogravimetry", result.tga)) if part
    ]
    told.say(f"The specimen was analysed from {' and '.join(measured) or 'no measurement'} with xrdcomp {version}")
    if result.xrd is not None:
        _diffraction(told, result, result.settings)
    if (tga := result.tga) is not None:
        facts = [gas_label(tga.atmosphere)]
        facts += [] if tga.heating_rate_k_min is None else [f"{tga.heating_rate_k_min:.3g} K/min"]
        facts += [] if tga.initial_mass_mg is None else [f"{tga.initial_mass_mg:.4g} mg"]
        low, high = float(tga.temperature_c.min()), float(tga.temperature_c.max())
        told.say(f"The thermogravimetric run covered {low:.0f} to {high:.0f} °C ({', '.join(facts)})")
        blank = any(item["kind"] == "tga_blank" for item in result.inputs)
        told.say(
            "Buoyancy was removed with a run of the empty pan" if blank
            else "No run of the empty pan was measured; buoyancy was calculated"
        )  # fmt: skip
        steps = ", ".join(f"{label_of(step.name)} ({step.start_c:.0f}–{step.end_c:.0f} °C)" for step in tga.steps)
        if steps:
            told.say(f"Mass was lost in these steps: {steps}")
    composition = result.composition
    if any(composition.components.values()):
        draws = result.settings.get("composition", {}).get("draws")
        drawn = f" of {draws} draws" if draws else ""
        source = " and ".join(SOURCES.get(part, label_of(part)) for part in composition.method.split("+"))
        told.say(
            f"Mass fractions ({BASIS_LABELS[composition.basis]}) are means of a joint posterior{drawn} from "
            f"{source}; uncertainties are one standard deviation, intervals hold 95 %"
        )
    return told


def _diffraction(told: Paragraph, result: SampleResult, settings: Mapping[str, Any]) -> None:
    fit = result.xrd
    assert fit is not None, "told only where a pattern was fitted"
    asked, used = settings.get("fit", {}), settings.get("used", {})
    lines = " and ".join(f"{value:.5g}" for value in fit.wavelengths)
    wavelength = f" (λ = {lines} Å)" if lines else ""
    told.say(
        f"The pattern{wavelength} was fitted as a whole from {fit.two_theta[0]:.2f} to {fit.two_theta[-1]:.2f}° 2θ, "
        f"{len(fit.two_theta)} points, with {MODES.get(asked.get('mode', ''), 'crystalline phases')}, a background of "
        "instrument and air, and scattering of amorphous matter", "rietveld",
    )  # fmt: skip
    if asked.get("solver") == "varpro":
        told.say(
            "Scales, background and amorphous parts, which are linear, were solved exactly inside each step of a "
            f"Levenberg–Marquardt minimisation of {fit.n_parameters} parameters", "varpro",
        )  # fmt: skip
    elif asked.get("solver") == "lmfit":
        told.say(f"{fit.n_parameters} parameters were refined with lmfit", "lmfit")
    told.say("Symmetry operations and atomic scattering factors were those of gemmi", "gemmi")
    shape = ["tch"] + ["finger"] * bool(asked.get("asymmetry"))
    axial = " with axial divergence" if asked.get("asymmetry") else ""
    told.say(f"Reflection profiles were pseudo-Voigt functions{axial}", *shape)
    told.say(f"Source of the instrument parameters: {used.get('instrument', 'not stated')}")
    names = tuple(fit.parameters)
    if any("march_dollase" in name for name in names):
        told.say("Preferred orientation followed March and Dollase", "dollase")
    if any("harmonic" in name for name in names):
        told.say("Preferred orientation was described by symmetrised spherical harmonics", "jarvinen")
    if asked.get("grain_size_um") and len(fit.phases) > 1:
        told.say(f"Microabsorption was corrected for grains of {asked['grain_size_um']:g} µm", "brindley")
    blank = any(item["kind"] == "xrd_blank" for item in result.inputs)
    told.say("A scan of the empty holder fixed the background" if blank else "No scan of the empty holder was measured")
    if spike := settings.get("internal_standard"):
        told.say(
            f"{label_of(spike).capitalize()} had been added as {settings['internal_standard_fraction']:.4g} of the mass"
        )
    how, keys = METHODS.get((result.metadata.get("quantification") or {}).get("method", ""), ("", ()))
    if how:
        told.say(f"Fractions from diffraction alone were obtained {how}", *keys)
    search = settings.get("identification", {})
    if search.get("search"):
        told.say(
            f"The pattern was searched for {len(result.phases)} phases with a probability of "
            f"{search['false_alarm_rate']:g} for one or more false ones; detection limits are the fractions found with "
            f"{100 * search['detection_probability']:g} % probability", "currie", "iso",
        )  # fmt: skip
    told.say(
        f"The fit reached Rwp {100 * fit.rwp:.2f} % (expected {100 * fit.rexp:.2f} %), goodness of fit {fit.gof:.2f}"
    )
