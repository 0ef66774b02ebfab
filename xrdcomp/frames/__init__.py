"""Area detectors: frames are read, masked, integrated over azimuth and merged into a `Pattern`.

Needs the optional packages fabio and pyFAI: ``pip install "xrdcomp[frames]"``.
"""
