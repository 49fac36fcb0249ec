"""The forecast keeps its word on simulated nights that it knows nothing of; the whole benchmark in small."""

from __future__ import annotations

import statistics

import pytest

from benchmarks.forecast_nights import measure, within


def test_with_its_own_nights_a_site_is_forecast_closely() -> None:
    """Two sites, two nights each: far too few for shares, enough to see that the site's own nights are learnt from."""
    own, document = measure(4, 3, 2, seed=11, jobs=1)
    assert max(abs(off) for off in own["the night"].off) < 45, "minutes, of about seven hours"
    ours, theirs = (statistics.mean(map(abs, found["the night"].off)) for found in (own, document))
    assert ours < theirs
    assert statistics.mean(own["the night"].width) < statistics.mean(document["the night"].width)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_real_end_lies_where_it_was_said_to_lie() -> None:
    """200 nights on 40 sites: before P50 in 40 to 60 % of them, before P90 in 85 to 97 %."""
    own, _ = measure(200, 4, 40, seed=1, jobs=2)
    assert len(own["the night"].off) == 200
    assert within(own["the night"]), own["the night"].shares
