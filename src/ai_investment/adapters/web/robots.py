"""What sites ask of programs in their robots.txt, remembered for an hour."""

from __future__ import annotations

import time

from protego import Protego

_REMEMBERED = 3600.0
_MOST_SITES = 1000


class Robots:
    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._sites: dict[str, tuple[float, Protego]] = {}

    def knows(self, site: str) -> bool:
        known = self._sites.get(site)
        return known is not None and time.monotonic() - known[0] < _REMEMBERED

    def learn(self, site: str, robots_txt: bytes) -> None:
        if len(self._sites) >= _MOST_SITES:
            self._sites.clear()
        rules = Protego.parse(robots_txt.decode("utf-8", "replace"))
        self._sites[site] = (time.monotonic(), rules)

    def allow(self, site: str, url: str) -> bool:
        """Whether the rules let us fetch `url`; a site that nothing is known of forbids nothing."""
        known = self._sites.get(site)
        return known is None or known[1].can_fetch(url, self._agent)
