"""The kinds of change, in the order they are told in (docs/concepts/terms.md, "Changes")."""

KINDS = ("injected", "removed", "relabeled", "modified", "renamed", "reattributed", "resplit")
