"""Who looks like whom, from pixels alone: neighbours, and groups of their graph."""
