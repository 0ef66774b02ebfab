"""Area detectors: frames are read, masked, integrated over azimuth and merged into a `Pattern`.

Needs the optional packages fabio and pyFAI: ``pip install "xrdcomp[frames]"``.
"""

from xrdcomp.frames.integrate import azimuthal_profile as azimuthal_profile
from xrdcomp.frames.integrate import integrate_frames as integrate_frames
from xrdcomp.frames.read import read_frame as read_frame
