"""Writes docs/reference/screening.md from the checks themselves. Run it after changing a check."""

# ruff: noqa: E501

from __future__ import annotations

import textwrap
from pathlib import Path

from provreg.screening.api import Check
from provreg.screening.catalog import OWN

PAGE = Path(__file__).with_name("reference") / "screening.md"
_WIDTH = 120
_INTRODUCTION = """\
# Screening

`provreg screen REF` looks for labelers, sources, batches and samples that stand out in what was signed. Install it with
`pip install 'provreg[screen]'`. A signature says who made a version, not that its labels are right: screening points at
what deserves a look. It proves nothing, and no finding changes whether a version is trusted.

```sh
provreg screen cifar10                                                 # all of its history
provreg screen cifar10@10 --against cifar10@9 --fail-on warning        # in CI: what the last night brought
provreg screen cifar10 --data train --phash                            # pictures that look the same; hashes are kept
provreg screen reviews --data reviews.jsonl --minhash                  # texts that are nearly the same
provreg screen cifar10 --by labeler --by version --check relabels --json
```

## Findings

Each finding says what was seen and in which group, what was expected, how large the effect is, which samples it is about,
a command that shows them, what else could explain it, and which entries of public catalogs speak of it.

| severity | when |
|---|---|
| error | the finding is exact (equal bytes with two labels), or far beyond chance: a ratio of at least 10 at its lower bound, and p below one in a million after correction |
| warning | Holm's test at 0.05 within the family, a ratio of at least 2 at its lower bound of 95 %, and at least 10 samples in excess |
| note | all else that is worth a look: a q value of at most 0.05, or an oddity that is usual in clean data |

On large data every difference is significant, and honest people differ. So a warning needs a large effect too, and the
null hypothesis is not one rate for all: it is a spread of rates among honest groups. `p` is the probability of as much by
chance, `q` the share of false finds among all findings of the family up to here (Benjamini and Hochberg).

Exit codes: 0, or 1 if a finding is at least as severe as `--fail-on`. The same registry gives the same report, byte for
byte. The document of `--json` is `schemas/output/screen.v1.json`.

The plots show the power of the counted checks: how often, in simulations with fixed seeds, a warning names the one who does so
many times as much as others (for `mixes` a note suffices, for `bursts` there are notes only). Honest people differ in them by a
coefficient of variation of 0.5. `flips`, `floods`, `sizes` and `bursts` are simulated as counts whose expectation is known.
`relabels`, ten labelers of 500 labels, honest rate 1 %: found in 3 % of simulations at 2 times, 38 % at 3, 94 % at 5 and 100 % at 10 times. `python docs/generate_power.py` draws the plots anew.

## Using findings

Leave out the samples of warnings and errors, or let them weigh less. All loaders take a selection; `weights` are in the
order of the loaded samples.

```python
registry = provreg.Registry.open(policy="policy.toml")
found = registry.screen("cifar10")
samples = provreg.load("cifar10", data="train", select=provreg.Selection(exclude=found.ids()))

samples = provreg.load("cifar10", data="train")
weights = samples.weights(found.weights(0.1))  # float64, one a sample
torch.utils.data.WeightedRandomSampler(weights, len(weights))
LogisticRegression().fit(x, y, sample_weight=weights)  # scikit-learn; ART's classifiers pass it on
```

An id that the version does not have is an error: a list of an older version would silently let a renamed sample in. Look
at the samples before: a finding is a reason to look, not a verdict.

## Accepting a finding

A finding can be in order: dora's task is to correct labels. Somebody who looked at the samples signs that, and the nightly run
goes on:

```sh
provreg screen cifar10@10 --fail-on warning                            # exits with 1, and shows "finding: 3f2a91bc04d1"
provreg show cifar10@10 --ids --where "labeler = 'dora'"               # look at the samples
provreg accept cifar10@10 3f2a91bc04d1 --reason 'dora corrects what others left' --sign key:chief.key
provreg screen cifar10@10 --fail-on warning                            # exits with 0, and lists it as accepted
```

The signer needs an `[[accept]]` rule in the policy of those who screen: `provreg policy add rule accept --dataset cifar10
--principal chief`. `accept` screens again, so pass the options that the nightly run has: with others the finding is another.

If it is not in order, `provreg revoke cifar10@10 --finding 3f2a91bc04d1 --reason …` revokes its samples
([incidents](../guides/incident.md)).

The [acceptance](../format/acceptance.md) holds in this version and in those that continue it, as long as the finding is the same: one
more sample, or another label, labeler or id of one, is a new finding. Accepted findings stay in every report with signer and
reason; they fail nothing, and their samples are not in `found.ids()`. In Python: `registry.accept(found, found.findings[0], "…", signer)`;
`found.accepted` has those that count.

## Checks
"""
_WRITING = """\
## Writing a check

A check is a module with a `CHECK` (`provreg.screening.api.Check`): words for this page, `queries`, which gives the SQL of the
tables that it needs, and `find`, which makes findings of them. Checks read Arrow tables and nothing else. Another
package offers one by an entry point in the group `provreg.checks`, under the check's name:

```toml
[project.entry-points."provreg.checks"]
my-check = "my_package.my_check:CHECK"
```

Views that the SQL can use:

- `entries`: a row for each sample of the screened version, with the columns of [entries](sql.md). `label` is the label, or the
  digest of a long one; `content` is binary.
- `base`: the same of the version after which changes are looked at, by default the first.
- `changes`: a row for each sample that a later version changed: `version`, `signer`, a boolean for each kind of change
  (`relabeled`, …), and `old_…` and `new_…` of every column of an entry.
- `base_by_labeler`, `base_by_source`, `entries_by_labeler`, `entries_by_source`: counts `n` by that column and `label`. They are
  made once for all checks.
- `gold`: `id` and true `label` of the samples in `--gold`. `pictures`: `content`, `phash` and `dhash` (`--phash`).
- `texts` (`--minhash`): `content`, and the 16 words of its signature, `band_0` to `band_15`, which are null where a text is too short.
- `dated`: `entries` with the `version` and `signer` that last changed each sample.
- `versions`: `version`, `created`, `signed_at`, `standing`, `signer`, `signers` and `principals` of each version from the base on.
"""


def page() -> str:
    """The page's text."""
    sections = "\n".join(_section(check) for check in OWN)
    return f"{_INTRODUCTION}\n{sections}\n{_WRITING}"


def _section(check: Check) -> str:
    facts = {
        "Looks at": check.looks_at,
        "Null hypothesis": check.null_hypothesis,
        "Statistic": check.statistic,
        "Assumes": check.assumptions,
        "Cannot see": check.cannot_see,
        "Catalogs": "; ".join(check.standards),
    }
    lines = [f"### `{check.name}`", ""]
    for name, text in facts.items():
        item = f"- **{name}**: {text}."
        lines += textwrap.wrap(item, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    plot = PAGE.with_suffix("") / f"{check.name}.svg"
    if plot.exists():
        lines += ["", f"![How often `{check.name}` finds what](screening/{plot.name})"]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
