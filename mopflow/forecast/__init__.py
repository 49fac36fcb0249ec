"""When will the night end, what may still be begun, and until when can all of it be backed out?"""

from __future__ import annotations

from mopflow.forecast.outlook import Colour, Forecast, Standing
from mopflow.forecast.reader import Memory, forecast_of
from mopflow.forecast.words import document, lines, turned

__all__ = ["Colour", "Forecast", "Memory", "Standing", "document", "forecast_of", "lines", "turned"]
