"""Methods that answer better without learning: several attempts judged, or one that is corrected."""
