"""Entries of public catalogs of attacks on machine learning, by their identifiers."""

from __future__ import annotations

from typing import Final

POISON_TRAINING_DATA: Final = "MITRE ATLAS AML.T0020 Poison Training Data"
PUBLISH_POISONED_DATASETS: Final = "MITRE ATLAS AML.T0019 Publish Poisoned Datasets"
SUPPLY_CHAIN_DATA: Final = "MITRE ATLAS AML.T0010.002 Supply Chain Compromise: Data"
ERODE_INTEGRITY: Final = "MITRE ATLAS AML.T0059 Erode Dataset Integrity"
NIST_POISONING: Final = "NIST AI 100-2e2025 NISTAML.013 Data Poisoning"
NIST_BACKDOOR: Final = "NIST AI 100-2e2025 NISTAML.023 Backdoor Poisoning"
NIST_TARGETED: Final = "NIST AI 100-2e2025 NISTAML.024 Targeted Poisoning"
OWASP_POISONING: Final = "OWASP LLM04:2025 Data and Model Poisoning"
OWASP_DATA: Final = "OWASP ML02:2023 Data Poisoning Attack"
OWASP_SUPPLY_CHAIN: Final = "OWASP LLM03:2025 Supply Chain"
