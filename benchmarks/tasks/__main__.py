"""Runs one task in this process, spared what the command's own process is spared."""

from __future__ import annotations

import json
import sys
from importlib import import_module

from benchmarks.tasks import Task
from provreg.cli.startup import end, prepare

# Where each task is: only its own module is imported, for imports count in a cold start.
_MODULES = {
    "make_files": "make", "make_rows": "make", "make_lines": "make",
    "make_photographs": "make", "make_shards": "make",
    "make_versions": "make_versions", "make_known_files": "make_versions",
    "hash_folder": "reading", "read_folder": "reading", "hash_rows": "reading",
    "contents": "registry",
    "diff": "registry", "neighbours": "registry", "blame": "registry", "impact": "registry",
    "verify": "registry", "sync": "registry", "sizes": "registry", "part_files": "registry",
    "screen": "registry", "small_versions": "registry", "whole_history": "registry",
    "duckdb_sha256": "duckdb_peer", "duckdb_read": "duckdb_peer", "duckdb_join": "duckdb_peer",
    "image_passes": "loading", "shard_passes": "loading",
    "first_plain_batch": "loading", "first_verified_batch": "loading",
    "open_for_training": "opening", "worker_memory": "opening",
    "swapped_while_loading": "swapping",
    "read_rows_plain": "arrow_rows", "read_rows_verified": "arrow_rows",
}  # fmt: skip


def main(name: str, *arguments: str) -> None:
    prepare()
    task: Task = getattr(import_module(f"benchmarks.tasks.{_MODULES[name]}"), name)
    print(json.dumps(task(*arguments)))
    end()


if __name__ == "__main__":
    main(*sys.argv[1:])
