"""Everything that speaks to a browser or an API client."""
