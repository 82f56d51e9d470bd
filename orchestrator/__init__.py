"""From a sweep file to tracked runs: planning, dispatch, tracking, command line."""
