"""provreg: know where every training sample came from, and refuse what was touched."""
