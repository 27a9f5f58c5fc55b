"""Where work runs: the only package that starts threads or processes."""
